"""Train RecBole models on ml-100k as the recommender of a world and say how well they rank.

Run: python benchmarks/recommenders.py [MODEL ...] [KEY=VALUE ...]     for example: GRU4Rec BPR epochs=5
"""

import sys
import time

from vrsim.building import BuildConfig, make_world
from vrsim.naming import parse_name
from vrsim.recommender.recbole_models import RecBoleRecommender
from vrsim.recommender.recbole_settings import RecBoleConfig
from vrsim.sources import ml_100k

MODELS = ("Pop", "ItemKNN", "EASE", "BPR", "LightGCN", "DeepFM", "DSSM", "GRU4Rec", "NextItNet", "SASRec")


def main() -> None:
    words = sys.argv[1:]
    models = [word for word in words if "=" not in word] or list(MODELS)
    options = parse_name("model:" + ",".join(word for word in words if "=" in word))[1]
    data = ml_100k(BuildConfig().shortest)
    print(f"{'model':10} {'HR@10':>7} {'NDCG@10':>7} {'unseen HR@10':>12} {'epochs':>6} {'seconds':>7} {'rank s':>7}")
    for model in models:
        config = RecBoleConfig(model, options)
        trained = RecBoleRecommender.train(config, data.interactions, data.catalog)
        started = time.perf_counter()
        world, _ = make_world("ml-100k", data, BuildConfig(), recommender=trained)
        ranked = time.perf_counter() - started
        test = trained.report["test"]
        print(f"{model:10} {test['hit@10']:7.4f} {test['ndcg@10']:7.4f} {world.hits(10):12.4f} "
              f"{trained.report['epochs']:6} {trained.report['seconds']:7.0f} {ranked:7.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

"""SASRec as vrsim trains it beside RecBole's own: seconds per epoch, and seconds to an equal NDCG@10.

Run: python benchmarks/sasrec.py [seconds]     (ml-100k; RecBole's own is trained for that long, default 2400)
Both run in this process, one after the other, with the same trainer, evaluator, threads, dropout and
learning rate, and with about as many targets in a batch: 16 windows of some 40 targets, 640 prefixes of one.
NDCG@10 is that of RecBole alone, which lets the history compete.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrsim.building import BuildConfig
from vrsim.recommender.recbole_settings import RecBoleConfig
from vrsim.recommender.recbole_setup import contained, prepare
from vrsim.worlds import BUILT_IN

OURS, OWN = "vrsim", "RecBole's own"
BATCH = {OURS: {"train_batch_size": 16}, OWN: {"train_batch_size": 640}}


@dataclass
class Curve:
    """What was reached after how much training, evaluation not counted."""

    seconds: list[float] = field(default_factory=list)
    ndcg: list[float] = field(default_factory=list)
    hit: list[float] = field(default_factory=list)


def train(kind: str, data: Any, budget: float) -> Curve:
    """Train epoch by epoch for about ``budget`` seconds, evaluating on the test targets after each."""
    from recbole.data import create_dataset, data_preparation
    from recbole.model.sequential_recommender import SASRec as RecBoleSASRec
    from recbole.utils import get_trainer, init_seed

    curve = Curve()
    with contained(), tempfile.TemporaryDirectory() as folder:
        config = RecBoleConfig(options={"learning_rate": 1e-3} | BATCH[kind])
        settings, dataset = prepare(config, data.interactions, data.catalog, 1, Path(folder))
        if kind == OWN:
            settings.model_class, dataset = RecBoleSASRec, create_dataset(settings)
        init_seed(settings["seed"], reproducibility=True)
        train_data, _, test_data = data_preparation(settings, dataset)
        model = settings.model_class(settings, train_data.dataset).to(settings["device"])
        trainer = get_trainer(settings["MODEL_TYPE"], "SASRec")(settings, model)
        trainer.eval_collector.data_collect(train_data)
        spent = 0.0
        while spent < budget:
            started = time.perf_counter()
            trainer._train_epoch(train_data, len(curve.seconds))
            spent += time.perf_counter() - started
            result = trainer.evaluate(test_data, load_best_model=False)
            curve.seconds.append(spent)
            curve.ndcg.append(result["ndcg@10"])
            curve.hit.append(result["hit@10"])
            print(f"{kind}: epoch {len(curve.seconds)}, {spent:.1f} s, test HR@10 {curve.hit[-1]:.4f}, "
                  f"NDCG@10 {curve.ndcg[-1]:.4f}", flush=True)  # fmt: skip
    return curve


def main() -> None:
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 2400.0
    data = BUILT_IN["ml-100k"][0](BuildConfig())
    curves = {OURS: train(OURS, data, budget / 15), OWN: train(OWN, data, budget)}
    epochs = {kind: curve.seconds[-1] / len(curve.seconds) for kind, curve in curves.items()}
    print(f"seconds per epoch: {epochs[OURS]:.2f} and {epochs[OWN]:.1f}, ratio {epochs[OWN] / epochs[OURS]:.1f}")
    goal = min(max(curve.ndcg) for curve in curves.values())
    reached = {
        kind: next(s for s, n in zip(curve.seconds, curve.ndcg, strict=True) if n >= goal)
        for kind, curve in curves.items()
    }
    print(f"seconds to test NDCG@10 {goal:.4f}: {reached[OURS]:.1f} and {reached[OWN]:.1f}, "
          f"ratio {reached[OWN] / reached[OURS]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()

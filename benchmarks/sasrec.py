"""SASRec as vrsim trains it beside RecBole's own: seconds per epoch, and seconds to an equal NDCG@10.

Run: python benchmarks/sasrec.py [seconds]     (ml-100k; RecBole's own is trained for that long, default 1000)

All in this process, one after the other, with the same trainer, evaluator, threads and dropout. RecBole's own
is timed for one epoch as it ships: batches of 2,048 prefixes, and autograd's anomaly detection, which RecBole
turns on when it is imported. The race to an equal NDCG@10 gives it its best: no anomaly detection, and
batches of 640 prefixes, half as many targets as a batch of vrsim's windows. NDCG@10 is that of RecBole alone,
which lets the history compete.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrsim.building import BuildConfig
from vrsim.data import Data
from vrsim.recommender.recbole_settings import RecBoleConfig
from vrsim.recommender.recbole_setup import contained, prepare
from vrsim.sources import ml_100k


@dataclass
class Curve:
    """What was reached after how much training; evaluation is not counted."""

    seconds: list[float] = field(default_factory=list)
    ndcg: list[float] = field(default_factory=list)

    @property
    def per_epoch(self) -> float:
        return self.seconds[-1] / len(self.seconds)

    def time_to(self, goal: float) -> float:
        return next(s for s, ndcg in zip(self.seconds, self.ndcg, strict=True) if ndcg >= goal)


def train(name: str, data: Data, budget: float, options: dict[str, Any], own: bool, anomaly: bool = False) -> Curve:
    """Train epoch by epoch until ``budget`` seconds are over, evaluating on the test targets after each."""
    curve = Curve()
    with contained(), tempfile.TemporaryDirectory() as folder:
        import torch
        from recbole.data import create_dataset, data_preparation
        from recbole.model.sequential_recommender import SASRec
        from recbole.utils import get_trainer, init_seed

        config = RecBoleConfig(options=options)
        settings, dataset = prepare(config, data.interactions, data.catalog, 1, Path(folder))
        if own:
            settings.model_class, dataset = SASRec, create_dataset(settings)
        init_seed(config.seed, reproducibility=True)
        train_data, _, test_data = data_preparation(settings, dataset)
        model = settings.model_class(settings, train_data.dataset).to(settings["device"])
        trainer = get_trainer(settings["MODEL_TYPE"], "SASRec")(settings, model)
        trainer.eval_collector.data_collect(train_data)
        spent = 0.0
        while spent < budget:
            started = time.perf_counter()
            with torch.autograd.set_detect_anomaly(anomaly):
                trainer._train_epoch(train_data, len(curve.seconds))
            spent += time.perf_counter() - started
            curve.seconds.append(spent)
            curve.ndcg.append(trainer.evaluate(test_data, load_best_model=False)["ndcg@10"])
            print(f"{name}: epoch {len(curve.ndcg)}, {spent:.1f} s, test NDCG@10 {curve.ndcg[-1]:.4f}", flush=True)
    return curve


def main() -> None:
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 1000.0
    data = ml_100k(BuildConfig().shortest)
    ours = train("vrsim", data, budget / 15, {}, own=False)
    slow = {"learning_rate": 1e-3, "train_batch_size": 2048}
    shipped = train("RecBole as it ships", data, 1.0, slow, own=True, anomaly=True)
    best = train("RecBole at its best", data, budget, slow | {"train_batch_size": 640}, own=True)
    print(f"seconds per epoch: {ours.per_epoch:.2f}; RecBole as it ships {shipped.per_epoch:.1f}, "
          f"ratio {shipped.per_epoch / ours.per_epoch:.1f}; at its best {best.per_epoch:.1f}, "
          f"ratio {best.per_epoch / ours.per_epoch:.1f}")  # fmt: skip
    goal = min(max(ours.ndcg), max(best.ndcg))
    print(f"seconds to test NDCG@10 {goal:.4f}: {ours.time_to(goal):.1f}; RecBole at its best "
          f"{best.time_to(goal):.1f}, ratio {best.time_to(goal) / ours.time_to(goal):.1f}")  # fmt: skip


if __name__ == "__main__":
    main()

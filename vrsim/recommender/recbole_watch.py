"""What RecBole's trainer does not do while it trains."""

from typing import Any

import numpy as np

from vrsim.progress import Progress
from vrsim.recommender.recbole_state import model_state, restore_state

__all__ = ["Watch"]


class Watch:
    """Follows RecBole's trainer: lowers the learning rate, keeps the best weights, reports progress."""

    def __init__(self, trainer: Any, progress: Progress) -> None:
        self.trainer, self.progress = trainer, progress
        self.epochs = 0  # trained so far
        self.best_epoch = 0  # whose weights are kept
        self._best_score = -np.inf
        self._state: dict[str, Any] = {}
        self._train_epoch, trainer._train_epoch = trainer._train_epoch, self.train_epoch

    def train_epoch(self, data: Any, epoch: int, *args: Any, **kwargs: Any) -> Any:
        if self.trainer.config["linear_decay"]:
            for group in self.trainer.optimizer.param_groups:
                group["lr"] = self.trainer.learning_rate * (1 - epoch / self.trainer.epochs)
        self.progress(epoch, self.trainer.epochs, f"epoch {epoch + 1} of {self.trainer.epochs}")
        self.epochs = epoch + 1
        return self._train_epoch(data, epoch, *args, **kwargs)

    def validated(self, epoch: int, score: float) -> None:
        if score > self._best_score:
            self._best_score, self.best_epoch = score, epoch + 1
            self._state = {name: value.clone() for name, value in model_state(self.trainer.model).items()}

    def restore_best(self) -> None:
        if self._state:
            restore_state(self.trainer.model, self._state)
        else:
            self.best_epoch = self.epochs

"""The eye on a training run: metrics, checks on validation users, checkpoints, and a stop before it collapses."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vrsim.progress import Progress
from vrsim.training.cards import write_card
from vrsim.training.collapse import Collapse
from vrsim.training.run_folder import TrainingFolder

__all__ = ["Watch"]

RENAMED = {  # names of TRL's metrics that say more in one word
    "completions/mean_length": "length",
    "completions/clipped_ratio": "cut",
    "frac_reward_zero_std": "silent",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "token_accuracy",
}
KEPT = ("loss", "reward", "reward_std", "kl", "entropy", "step_time", "policy_loss")


class Watch(TrainerCallback):
    """Writes what the trainer logs, checks, and stops a run that goes wrong.

    ``check`` gives the accuracy on validation users, by name. What it computes draws no random number.
    """

    def __init__(
        self,
        folder: TrainingFolder,
        card: dict[str, Any],
        check: Callable[[Any], dict[str, float]],
        check_every: int,
        collapse: Collapse,
        progress: Progress,
        what: str,
    ) -> None:
        self._folder, self._card, self._check, self._every = folder, card, check, check_every
        self._collapse, self._progress, self._what = collapse, progress, what
        self._began = time.perf_counter()
        self.reason = ""  # why the run was stopped
        self.last_good = 0  # step of the last checkpoint before it went wrong
        self.scores: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._every and state.global_step == 0:
            self._look(args, state, kwargs["model"])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        if "train_runtime" in logs or not state.is_world_process_zero:
            return
        row = {"step": state.global_step, "seconds": round(time.perf_counter() - self._began, 3)}
        for name, value in logs.items():
            name = RENAMED.get(name, name)
            if name in KEPT or name in RENAMED.values() or name.startswith("vrsim/"):
                row[name.removeprefix("vrsim/")] = value if value is None or math.isfinite(value) else str(value)
        self._folder.log(row)
        self._progress(state.global_step, state.max_steps, self._say(row))
        reason = self._collapse.see(state.global_step, row)
        if reason and not self.reason:
            self.reason, self.last_good = reason, state.global_step - self._collapse.window * args.logging_steps
            control.should_training_stop = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._every and (state.global_step % self._every == 0 or state.global_step == state.max_steps):
            self._look(args, state, kwargs["model"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The card comes last: a checkpoint without it is not whole."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_card(folder, self._card | {"step": state.global_step, "scores": self.scores})

    def _look(self, args: Any, state: Any, model: Any) -> None:
        self.scores = self._check(model)
        if state.is_world_process_zero and self.scores:
            self._folder.log({"step": state.global_step, **{f"held_out/{k}": v for k, v in self.scores.items()}})

    def _say(self, row: dict[str, Any]) -> str:
        """The few numbers that a person watches."""
        shown = {name: row[name] for name in ("loss", "reward", "kl") if isinstance(row.get(name), float)}
        held = {name.partition(" ")[0]: value for name, value in self.scores.items()}
        return ", ".join([self._what, *(f"{name} {value:.3g}" for name, value in (shown | held).items())])

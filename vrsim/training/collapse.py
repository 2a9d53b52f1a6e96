"""Signs that a policy falls apart: no more answers, always the same one, far from where it began, no numbers."""

import math
from collections import deque
from statistics import median
from typing import Any

__all__ = ["Collapse"]


class Collapse:
    """Watches the logged metrics of GRPO and says why a run should stop.

    What counts is the median of ``window`` logged steps: the estimate of KL has outliers of a hundred nats where one
    improbable token was drawn. The limits are wide: what they catch does not come back. (GRPO with a small
    KL weight has been seen to turn into gibberish within a few steps, with the reward still high just before.)
    """

    ANSWERS_LOST = 0.5  # the share of well-formed replies with a label falls below this share of its best
    KL_MOST = 10.0  # nats per token
    ONE_ANSWER = 0.99  # share of one answer among those of a task with several, for a whole window

    def __init__(self, window: int = 10) -> None:
        self.window = window
        self._seen: dict[str, deque[float]] = {}
        self._best = 0.0

    def see(self, step: int, row: dict[str, Any]) -> str:
        """Take the metrics of one step; returns why the run should stop, "" = it may go on."""
        for name in ("loss", "reward", "kl", "grad_norm"):
            value = row.get(name)
            if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
                return f"{name} is {value} at step {step}: the weights are no numbers any more"
        usual = {name: self._usual(name, row.get(name)) for name in ("answered", "kl", "top_answer")}
        if usual["kl"] is not None and usual["kl"] > self.KL_MOST:
            return f"KL is {usual['kl']:.1f} nats per token at step {step}, above {self.KL_MOST:g}"
        answered = usual["answered"]
        if answered is not None:
            self._best = max(self._best, answered)
            if self._best > 0.1 and answered < self.ANSWERS_LOST * self._best:
                return (
                    f"the share of replies with an answer fell from {self._best:.2f} to {answered:.2f} at step {step}"
                )
        if usual["top_answer"] is not None and usual["top_answer"] > self.ONE_ANSWER:
            return f"{usual['top_answer']:.0%} of the answers are the same label at step {step}"
        return ""

    def _usual(self, name: str, value: Any) -> float | None:
        """The median of the last ``window`` values, None before there are as many."""
        if isinstance(value, int | float):
            self._seen.setdefault(name, deque(maxlen=self.window)).append(float(value))
        seen = self._seen.get(name, ())
        return median(seen) if len(seen) == self.window else None

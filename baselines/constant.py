"""``constant``: the same answer to every question. By default Yes, and the first place of a slate."""

from typing import final

import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.errors import OptionError, UnknownNameError

__all__ = ["Constant"]

ANSWERS = {"no": 0, "yes": 1}


@final
class Constant(Agent):
    """Always Yes, or always No; always the same place.

    Places are in random order, so on selections this is chance, played without randomness.
    """

    def __init__(self, answer: str = "yes", place: int = 0) -> None:
        if answer not in ANSWERS:
            raise UnknownNameError("answer", str(answer), ANSWERS)
        if type(place) is not int or place < 0:
            raise OptionError(f"place must be an integer from 0, found {place!r}")
        self._answer, self._place = ANSWERS[answer], place

    def act(self, observations: Observations) -> Decisions:
        slate = observations["slate"]
        if slate.shape[1] == 1:
            return Decisions(np.full(len(slate), self._answer))
        if self._place >= slate.shape[1]:
            raise OptionError(f"place {self._place} is not in a slate of {slate.shape[1]} items, numbered from 0")
        return Decisions(np.full(len(slate), self._place))

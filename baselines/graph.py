"""``graph``: how easily a walk along what other people took next leads from the last items to this one."""

from typing import final

import numpy as np
from scipy.sparse import csr_matrix

from vrsim.agent import Observations
from vrsim.baselines.scores import ScoreAgent
from vrsim.errors import OptionError
from vrsim.world import World

__all__ = ["Graph"]

DAMPING = 0.5  # each further step of the walk, and each place further back in the history, weighs half
TIE = 1e-9  # of the most popular item, where the walk arrives nowhere


@final
class Graph(ScoreAgent):
    """Take the item where the walk arrives with the most (or least) mass.

    From the ``last`` items of the shown history the walk takes ``hops`` steps. A step goes from an item to
    those that followed it directly in the training part, in proportion to how often they did. The number
    is the mass that arrives after 1, 2, ... ``hops`` steps, damped. Popularity only breaks ties.

    Source: the graph heuristic of the 2026 audit of sequential recommendation benchmarks, which walks
    alike and then ranks by similarity of features; here the mass itself ranks. ``content`` is the other half.
    """

    orders = ("most", "least")

    def __init__(self, order: str = "most", hops: int = 2, last: int = 2) -> None:
        super().__init__(order)
        for name, value in (("hops", hops), ("last", last)):
            if type(value) is not int or value < 1:
                raise OptionError(f"{name} must be an integer from 1, found {value!r}")
        self._hops, self._last = hops, last

    def prepare(self, world: World) -> None:
        self._forward = _transitions(world)
        self._backward = self._forward.T.tocsr()
        self._tie = TIE * world.popularity / max(1, world.popularity.max())

    def score(self, observations: Observations) -> np.ndarray:
        """The damped mass that arrives at each item, float64 (B, K), from 0 to less than 2 + TIE."""
        slate = observations["slate"]
        departing = reached = self._start(observations["history"])  # sparse (B, n_items + 1)
        for _ in range(self._hops - 1):
            reached = DAMPING * (reached @ self._forward)
            departing = departing + reached
        # The last step is taken backwards from the items of the slate: no row ever holds every item.
        columns = [self._backward[column].multiply(departing).sum(axis=1) for column in slate.T]
        return np.asarray(np.hstack(columns), float) + self._tie[slate]

    def _start(self, history: np.ndarray) -> csr_matrix:
        """Where the walk begins: mass 1 in each row, on the last items; none where the history is empty."""
        last = history[:, -self._last :]
        weight = DAMPING ** np.arange(last.shape[1])[::-1] * (last > 0)  # (B, last)
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), TIE)
        row = np.repeat(np.arange(len(last)), last.shape[1])
        return csr_matrix((weight.ravel(), (row, last.ravel())), shape=(len(last), self._forward.shape[0]))


def _transitions(world: World) -> csr_matrix:
    """How likely each item is to follow each, float64 (n_items + 1, n_items + 1); rows sum to 1 or are empty."""
    known = world.interactions.training_rows(world.holdout)
    follows = known[1:] & known[:-1]  # never across users: the last row of a user is held out
    before, after = world.interactions.items[:-1][follows], world.interactions.items[1:][follows]
    size = world.n_items + 1
    counts = csr_matrix((np.ones(len(before)), (before, after)), shape=(size, size))
    total = np.asarray(counts.sum(axis=1)).ravel()
    return csr_matrix(counts.multiply(1 / np.maximum(total, 1)[:, None]))

"""What the pocket model learns from the world's recommender: how it scores all titles after a history.

Only moments that the recommender was trained on are asked about, so nothing that is held out can come through.
"""

from dataclasses import dataclass

import numpy as np

from vrsim.progress import Progress
from vrsim.recommender import CONTEXT
from vrsim.world import World

__all__ = ["Teacher", "ask_recommender"]

MOMENTS = 100_000  # at most this many are asked about
SCORES = 2**24  # numbers of a batch of scores
SAMPLED = 6000  # moments whose scores say along which directions all of them lie
TEMPERED = 1000  # of those, moments that say how sure the recommender may be


@dataclass(frozen=True, eq=False)
class Teacher:
    """A recommender's opinions as D numbers for each moment and each title.

    ``softmax(states[moments[row]] @ titles[1:].T)`` is how probable it finds each title in place of an interaction. Of
    a recommender with at most D - 1 factors that is exact; of any other it is the nearest there is of this size.
    """

    moments: np.ndarray  # int32 (interactions,): row of the states, -1 = nobody asked
    states: np.ndarray  # float32 (moments, D), each number of mean square 1
    titles: np.ndarray  # float32 (n_items + 1, D), row 0 is 0


def ask_recommender(world: World, size: int, rng: np.random.Generator, progress: Progress) -> Teacher | None:
    """The opinions of the world's recommender in ``size`` numbers; None if it knows no earlier moments."""
    if world.manifest["recommender"]["kind"] == "candidates":
        return None
    interactions, n_items = world.interactions, world.n_items
    known = np.flatnonzero(interactions.training_rows(world.holdout))
    owners = np.searchsorted(interactions.offsets, known, side="right") - 1
    t = known - interactions.offsets[owners]
    kept = np.flatnonzero(t >= 1)
    kept = np.sort(rng.permutation(kept)[:MOMENTS])
    if not len(kept):
        return None
    rows, owners, t = known[kept], owners[kept], t[kept]

    def scores(part: np.ndarray | slice) -> np.ndarray:
        found = world.recommender.score(owners[part], interactions.histories(owners[part], t[part], CONTEXT))
        return _centred(np.array(found)[:, 1:])

    batch = max(1, SCORES // 8 // n_items)
    sampled = np.sort(rng.permutation(len(rows))[: min(SAMPLED, SCORES // n_items)])
    seen = np.concatenate([scores(sampled[begin : begin + batch]) for begin in range(0, len(sampled), batch)])
    mean, directions = _directions(seen, size - 1)
    spread = np.sqrt(((seen - mean) @ directions.T).var(axis=0)) + 1e-12
    few = rng.permutation(len(sampled))[:TEMPERED]
    temperature = _temperature(seen[few], interactions.items[rows[sampled[few]]] - 1)

    states = np.ones((len(rows), 1 + len(directions)), np.float32)
    for begin in range(0, len(rows), batch):
        part = slice(begin, begin + batch)
        states[part, 1:] = (scores(part) - mean) @ directions.T / spread
        progress(begin, len(rows), "pocket: asking the recommender")
    titles = np.zeros((n_items + 1, states.shape[1]), np.float32)
    titles[1:] = np.column_stack([mean, directions.T * spread]) / temperature
    moments = np.full(len(interactions), -1, np.int32)
    moments[rows] = np.arange(len(rows))
    return Teacher(moments, states, titles)


def _centred(scores: np.ndarray) -> np.ndarray:
    """Scores (B, items) with mean 0 over each row's finite ones; 0 where one is not finite."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    return np.nan_to_num(finite - np.nanmean(finite, axis=1, keepdims=True))


def _directions(scores: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean (items,) of scores (B, items), and at most ``most`` orthonormal directions (D, items) from it."""
    from sklearn.utils.extmath import randomized_svd

    mean = scores.mean(axis=0)
    _, _, directions = randomized_svd(scores - mean, min(most, *scores.shape), random_state=0)
    return mean, directions


def _temperature(scores: np.ndarray, taken: np.ndarray) -> float:
    """The one at which the softmax of scores (B, items) makes what was ``taken`` int64 (B,) most probable.

    Recommenders score on scales of their own; this makes probabilities of them.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    unit = scores.std() + 1e-12
    own = scores[np.arange(len(scores)), taken]

    def surprise(power: float) -> float:
        scale = 10**power * unit
        return float((logsumexp(scores / scale, axis=1) - own / scale).mean())

    return float(10 ** minimize_scalar(surprise, bounds=(-2, 2), method="bounded").x * unit)

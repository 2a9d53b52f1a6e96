"""Wrong answers: items that a user never interacted with, drawn beside every held-out position.

Matched slates. A ranking is cut into blocks fixed beforehand, and the wrong items are drawn uniformly from
the target's own block. That alone leaves a hint: targets are more frequent at the upper end of a block. So a
drawn slate S is asked only with probability min w(s) / w(target), s in S, where w(i) is how likely item i of the
block is the target. The chance of asking S with target i is then w(i) * min w / w(i) = min w for every i in S:
whatever is known of the ranking, each item of the slate is equally likely.

- By popularity, w is how often a target has the rank of the item, of the times that it could: a falling curve
  fitted to all held-out positions (isotonic regression, the maximum likelihood estimate of a falling frequency).
- By the recommender, the score counts beside the rank: a recommender is surer of some users than of others. w is
  a conditional logit (McFadden, 1974) of that curve and of the score, fitted to the same positions.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np

from vrsim.errors import EpisodeError, UnknownNameError
from vrsim.protocols import Protocol, Wrong
from vrsim.recommender import BLOCK
from vrsim.seeding import generator
from vrsim.world import World

__all__ = ["Wrongs", "draw"]

DEPTHS = 7  # the score counts differently in blocks 1, 2-3, 4-7, ... of the ranking
FITTED = 20_000  # positions that are enough to fit so few numbers


@dataclass(frozen=True)
class Wrongs:
    """The drawn wrong items of every held-out position."""

    items: np.ndarray  # int64 (positions, m), distinct, never interacted with
    usable: np.ndarray  # bool (positions,): whether the position can be asked about


def draw(world: World, protocol: Protocol, rule: str, m: int, rng: np.random.Generator) -> Wrongs:
    """m wrong items for every held-out position by one of the rules of ``protocols.Wrong``.

    Raises EpisodeError, UnknownNameError.
    """
    positions = len(world.held_out[0])
    if rule == "rated":
        if m:
            raise EpisodeError(f"{protocol.name!r} takes answers from ratings: it needs 0 wrong items, not {m}")
        return Wrongs(np.empty((positions, 0), np.int64), np.ones(positions, bool))
    if rule == "rank-matched":
        return _matched(world, world.blocks, _likely_by_score(world), m, rng)
    if rule == "popularity-matched":
        return _popularity_matched(world, m, rng)
    if rule not in ("recommended", "uniform"):
        raise UnknownNameError("rule for wrong items", rule, filter(None, get_args(Wrong)))
    allowed = np.bincount(world.interactions.items, minlength=world.n_items + 1) >= protocol.least_item
    if rule == "recommended":
        items = _recommended(world, protocol, m, rng)
        items = _uniform(world, m, rng, allowed, items) if items.shape[1] < m else items
    else:
        items = _uniform(world, m, rng, allowed)
    return Wrongs(items, allowed[world.targets])


def _recommended(world: World, protocol: Protocol, m: int, rng: np.random.Generator) -> np.ndarray:
    """Up to m items from the pool, int64 (positions, m or the size of the pool)."""
    users, t = world.held_out
    # Candidates are unseen at their position; what the user does there or later is no wrong answer either.
    later = np.arange(world.holdout)
    rows = world.interactions.offsets[users, None] + t[:, None] + later
    inside = rows < world.interactions.offsets[users + 1, None]
    future = np.where(inside, world.interactions.items[np.where(inside, rows, 0)], 0)
    usable = world.candidates > 0
    for column in future.T:
        usable &= world.candidates != column[:, None]
    if world.interactions.unordered is not None:
        usable &= ~world.interactions.contains(users[:, None], world.candidates)
    begin, end = protocol.pool
    place = np.cumsum(usable, axis=1)
    pool = usable & (place >= begin) & (place <= end)
    least, size = int(usable.sum(axis=1).min()), end - begin + 1
    if least < end:
        raise EpisodeError(
            f"{protocol.name!r} draws from the first {end} candidates of a position, and a position of "
            f"world {world.name!r} has {least}; build the world with more candidates"
        )
    if m > size and not protocol.top_up:
        raise EpisodeError(f"m = {m} wrong items, but {protocol.name!r} draws from {size}; the largest m is {size}")
    depth = int(np.flatnonzero(pool.any(axis=0))[-1]) + 1
    keys = np.where(pool[:, :depth], rng.random((len(users), depth)), 2.0)
    picks = np.argsort(keys, axis=1)[:, : min(m, size)]
    return np.take_along_axis(world.candidates, picks, axis=1).astype(np.int64)


def _uniform(
    world: World, m: int, rng: np.random.Generator, allowed: np.ndarray, given: np.ndarray | None = None
) -> np.ndarray:
    """``given`` items (positions, g) followed by m - g uniform ones among the allowed."""
    users, _ = world.held_out
    given = np.empty((len(users), 0), np.int64) if given is None else given
    known = world.interactions.lengths
    if world.interactions.unordered is not None:
        known = known + np.bincount(world.interactions.unordered >> 32, minlength=world.n_users)
    unseen = int(allowed[1:].sum()) - int(known.max())
    if m > unseen:
        raise EpisodeError(
            f"m = {m} wrong items, but a user of world {world.name!r} may have only {unseen} items left "
            f"that were never interacted with; the largest m is {unseen}"
        )
    first = given.shape[1]
    items = np.concatenate([given, rng.integers(1, world.n_items + 1, size=(len(users), m - first))], axis=1)
    rows = np.arange(len(users))
    while len(rows):  # draw again whatever the user knows or what stands in the slate already
        drawn = items[rows]
        bad = world.interactions.contains(users[rows, None], drawn) | ~allowed[drawn]
        bad[:, :first] = False
        for column in range(max(1, first), m):
            bad[:, column] |= (drawn[:, :column] == drawn[:, column : column + 1]).any(axis=1)
        rows, bad = rows[bad.any(axis=1)], bad[bad.any(axis=1)]
        fresh = rng.integers(1, world.n_items + 1, size=bad.shape)
        items[rows] = np.where(bad, fresh, items[rows])
    return items


def _popularity_matched(world: World, m: int, rng: np.random.Generator) -> Wrongs:
    """Blocks of the catalog in order of popularity; items left over at the end join the last block."""
    order = np.argsort(-world.popularity[1:], kind="stable") + 1
    place = np.zeros(world.n_items + 1, np.int64)
    place[order] = np.arange(1, world.n_items + 1)  # rank by popularity, from 1
    ranks = place[world.targets]
    begin = np.minimum((ranks - 1) // BLOCK * BLOCK, max(0, world.n_items - BLOCK) // BLOCK * BLOCK)
    places = begin[:, None] + np.arange(min(2 * BLOCK - 1, world.n_items))
    last = begin + 2 * BLOCK > world.n_items  # the block after this one would not be whole
    there = (places < world.n_items) & ((places < begin[:, None] + BLOCK) | last[:, None])
    blocks = np.where(there, order[np.where(there, places, 0)], 0)
    # Whoever took an item before cannot take it next: an item that many know has fewer chances to be a target.
    known = np.bincount(world.interactions.items, minlength=world.n_items + 1)
    if world.interactions.unordered is not None:
        known += np.bincount(world.interactions.unordered & 0xFFFFFFFF, minlength=world.n_items + 1)
    chances = len(ranks) - world.holdout * known[order] + np.bincount(place[world.targets], minlength=len(place))[1:]
    curve = np.r_[_falling(ranks, world.n_items, chances), np.zeros(2 * BLOCK)]
    return _matched(world, blocks, curve[places + 1], m, rng)


def _falling(ranks: np.ndarray, n_items: int, chances: np.ndarray | None = None) -> np.ndarray:
    """How often a target has each rank, a falling curve, float (n_items + 1,); entry 0 is unused.

    ``chances`` (n_items,) says how often each rank could have been the target's; without: equally often.
    """
    from sklearn.isotonic import isotonic_regression

    counts = np.bincount(ranks, minlength=n_items + 1)[1:] + 1 / n_items  # one more target, spread: nowhere 0
    chances = np.ones(n_items) if chances is None else np.maximum(chances, 1)
    return np.r_[0, isotonic_regression(counts / chances, sample_weight=chances, increasing=False)]


@lru_cache(maxsize=4)
def _likely_by_score(world: World) -> np.ndarray:
    """How likely each item of ``world.blocks`` is the target, up to a factor per position, float (positions, BLOCK)."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    is_target = world.blocks == world.targets[:, None]
    # What the user takes later, or took at an unknown time, could not have been the target.
    there = (world.blocks > 0) & (is_target | ~world.interactions.contains(world.held_out[0][:, None], world.blocks))
    begin = (np.maximum(world.target_ranks, 1).astype(np.int64) - 1) // BLOCK * BLOCK
    curve = np.r_[_falling(world.target_ranks[is_target.any(axis=1)], world.n_items), np.ones(BLOCK)]
    by_rank = np.log(curve[begin[:, None] + 1 + np.arange(BLOCK)])
    score = world.block_scores - (world.block_scores * there).sum(axis=1, keepdims=True) / np.maximum(
        there.sum(axis=1, keepdims=True), 1
    )
    score = np.where(there, score, 0)
    score = np.clip(score / max(float(score.std()), 1e-9), -10, 10)
    depth = np.minimum(np.log2(begin // BLOCK + 1).astype(np.int64), DEPTHS - 1)
    by_score = score[:, :, None] * (depth[:, None, None] == np.arange(DEPTHS))
    features = np.where(there[:, :, None], np.concatenate([by_rank[:, :, None], by_score], axis=2), 0)

    known = np.flatnonzero(is_target.any(axis=1))
    if not len(known):
        return np.ones(there.shape)
    known = generator(0, "fit").permutation(known)[:FITTED]
    x, y, blank = features[known], np.argmax(is_target[known], axis=1), np.where(there[known], 0, -np.inf)
    chosen = x[np.arange(len(x)), y]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        utility = x @ weights + blank
        log_chance = utility - logsumexp(utility, axis=1, keepdims=True)
        gradient = np.einsum("ij,ijk->k", np.exp(log_chance), x) - chosen.sum(axis=0)
        value = -log_chance[np.arange(len(x)), y].sum()
        return value + 0.5 * weights @ weights, gradient + weights

    fitted = minimize(loss, np.r_[1.0, np.zeros(DEPTHS)], jac=True, method="L-BFGS-B").x
    utility = features @ np.round(fitted, 3)  # the last digits of an optimum differ between machines
    return np.where(there, np.exp(utility - utility.max(axis=1, keepdims=True)), 0)


def _matched(world: World, blocks: np.ndarray, likely: np.ndarray, m: int, rng: np.random.Generator) -> Wrongs:
    """See the module docstring. ``blocks`` and ``likely``, what w is for each of its items, are (positions, B)."""
    if m >= BLOCK:
        raise EpisodeError(
            f"m = {m} wrong items, but matched slates are drawn from blocks of {BLOCK}; the largest m is {BLOCK - 1}"
        )
    users, _ = world.held_out
    is_target = blocks == world.targets[:, None]
    other = (blocks > 0) & ~world.interactions.contains(users[:, None], blocks)
    picks = np.argsort(np.where(other, rng.random(blocks.shape), 2.0), axis=1)[:, :m]
    items = np.take_along_axis(blocks, picks, axis=1).astype(np.int64)
    own = (likely * is_target).sum(axis=1)
    rarest = np.minimum(np.take_along_axis(likely, picks, axis=1).min(axis=1), own)
    accepted = rng.random(len(users)) * own < rarest
    return Wrongs(items, accepted & is_target.any(axis=1) & (other.sum(axis=1) >= m))

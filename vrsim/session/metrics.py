"""What sessions with one policy came to: returns, visits, and what was shown, with intervals over users."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.estimates import Estimate, mean_of_users
from vrsim.session.features import genre_masks
from vrsim.session.loop import SessionLog
from vrsim.world import World

__all__ = ["METRICS", "SessionScore", "score_sessions", "user_columns"]

METRICS = {
    "return": "reward of a session",
    "length": "turns of a session",
    "consumed": "share of turns with consumption",
    "satisfaction": "mean satisfaction of a turn",
    "retention": "share of departures after which the user came back",
    "diversity": "mean distance of two items of a slate: 1 - Jaccard similarity of their genres",
    "novelty": "mean -log2 of the share of users who had a shown item in the training part",
    "popularity bias": "mean popularity rank of shown items minus that of the user's history, both 0 (least) to 1",
    "went on": "share of consumed items that the real user went on to consume",
}
"""Metrics per user and session, then averaged; not defined where there is nothing to divide by."""


@dataclass(frozen=True)
class SessionScore:
    """One policy, all seeds together."""

    metrics: dict[str, Estimate]  # METRICS
    coverage: float  # share of the catalog that was shown to anybody, mean over seeds
    repaired: float  # share of places of slates that had to be filled
    unread: float  # share of turns in which the policy's own reply could not be read
    invalid: float  # share of turns in which the user agent's answer could not be read
    by_seed: list[float]  # mean return
    users: int
    turns: int


def score_sessions(world: World, logs: Sequence[SessionLog], seed: int = 0) -> SessionScore:
    """The score from one log per seed; users are drawn again for the intervals, with all of their sessions."""
    columns = user_columns(world, logs)
    found = mean_of_users([columns[name] for name in METRICS], seed)
    size = logs[0].slate.shape[1]
    return SessionScore(
        metrics=dict(zip(METRICS, found, strict=True)),
        coverage=float(np.mean([len(np.unique(log.slate)) / world.n_items for log in logs])),
        repaired=float(np.mean(np.concatenate([log.repaired for log in logs])) / size),
        unread=float(np.mean(np.concatenate([log.unread for log in logs]))),
        invalid=float(1 - np.mean(np.concatenate([log.valid for log in logs]))),
        by_seed=[float(log.reward.sum() / log.over.sum()) for log in logs],
        users=len(columns["return"]),
        turns=sum(map(len, logs)),
    )


def user_columns(world: World, logs: Sequence[SessionLog]) -> dict[str, np.ndarray]:
    """METRICS of each user over all logs, float (users,), in order of the users; NaN = not defined."""
    users, group = np.unique(np.concatenate([log.user for log in logs]), return_inverse=True)

    def per_user(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
        part, whole = np.bincount(group, parts, len(users)), np.bincount(group, wholes, len(users))
        return np.divide(part, whole, out=np.full(len(users), np.nan), where=whole > 0)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(log, name) for log in logs])

    slate, item, consumed, one = joined("slate"), joined("item"), joined("consumed"), np.ones(len(group))
    went_on = consumed & (item > 0)
    went_on[went_on] = world.interactions.contains(users[group[went_on]], item[went_on])
    known = np.maximum(world.popularity, 1) / world.n_users
    rank = np.argsort(np.argsort(world.popularity[1:], kind="stable"), kind="stable") / max(1, world.n_items - 1)
    rank = np.concatenate([[0.0], rank])
    history = np.array([rank[world.history(user, _start(world, user))].mean() for user in users.tolist()])
    return {
        "return": per_user(joined("reward"), joined("over")),
        "length": per_user(one, joined("over")),
        "consumed": per_user(consumed, one),
        "satisfaction": per_user(joined("satisfaction"), one),
        "retention": per_user(joined("returned"), joined("left")),
        "diversity": per_user(_distance(world, slate), one),
        "novelty": per_user(-np.log2(known[slate]).mean(axis=1), one),
        "popularity bias": per_user(rank[slate].mean(axis=1), one) - history,
        "went on": per_user(went_on, consumed),
    }


def _start(world: World, user: int) -> int:
    return int(world.interactions.lengths[user]) - world.holdout


def _distance(world: World, slate: np.ndarray) -> np.ndarray:
    """Mean distance of two different items of each slate, float (T,); of one item 0, without any genre 1."""
    masks = genre_masks(world.catalog)[slate]
    one, other = np.triu_indices(slate.shape[1], 1)
    if not len(one):
        return np.zeros(len(slate))
    both = np.bitwise_count(masks[:, one] & masks[:, other])
    either = np.maximum(np.bitwise_count(masks[:, one] | masks[:, other]), 1)
    return 1 - (both / either).mean(axis=1)

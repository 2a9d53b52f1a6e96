"""What adding interactions came to: how well each recommender ranks, and what it has over the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vrsim.audit import Lift
from vrsim.augmentation.asking import DISLIKE, LIKE, UNREADABLE, Answers
from vrsim.comparisons import compare_users, holm
from vrsim.estimates import Estimate, mean_of_users
from vrsim.last_items import METRICS, gains
from vrsim.published import PublishedRanking, published_augmentation
from vrsim.recommender.additions import Additions
from vrsim.world import World

__all__ = ["BASE", "TESTED", "Answered", "AugmentedRow", "answered", "augmented_rows", "next_items"]

TESTED = ("HR@10", "NDCG@10")
BASE = "nothing added"  # everything is compared with it
CONTROLS = ("random", "popular", "first", "random of shown")  # and likes with these, which are as many
MOSTLY = 0.95  # share of equal answers from which they say next to nothing


@dataclass(frozen=True)
class Answered:
    """What the users said, in numbers."""

    shown: int  # items per user
    likes: float  # per user
    dislikes: float  # per user
    unreadable: float  # per user
    taken: float  # share of the users who really took one of the items next
    note: str  # what a reader must know about it, "" = nothing


@dataclass(frozen=True)
class AugmentedRow:
    """One way to add interactions, all seeds together. Groups of users are "all" and "asked"."""

    name: str
    added: float  # interactions per user asked
    hits: float | None  # share of them that are what the user really took next; None where nothing is added
    metrics: dict[str, dict[str, Estimate]]  # by group: METRICS, the mean over users
    by_seed: dict[str, list[dict[str, float]]]  # by group
    published: dict[str, PublishedRanking]  # by group; VRAgent-R1's cold users are those that it asked
    over: dict[str, dict[str, list[Lift]]] = field(default_factory=dict)  # by group and reference: TESTED


def next_items(world: World, users: np.ndarray) -> np.ndarray:
    """What each user really took last, int64 (users,)."""
    return world.targets[(users + 1) * world.holdout - 1]


def answered(world: World, answers: Answers) -> Answered:
    """Count what was said."""
    said = [float((answers.said == kind).sum(axis=1).mean()) for kind in (LIKE, DISLIKE, UNREADABLE)]
    taken = (answers.shown == next_items(world, answers.users)[:, None]).any(axis=1).mean()
    share = said[0] / answers.shown.shape[1]
    note = ""
    if share == 0:
        note = "nothing is liked: likes and the controls that go by them are the same as nothing added"
    elif share > MOSTLY:
        note = f"{share:.1%} of the items are liked: likes, first and random of shown are nearly the same items"
    return Answered(answers.shown.shape[1], *said, float(taken), note)


def augmented_rows(
    world: World, asked: np.ndarray, added: Mapping[str, Sequence[Additions]], ranks: Mapping[str, Sequence[np.ndarray]]
) -> list[AugmentedRow]:
    """The rows, by what was added and the ranks of all users' last items, int32 (users,): one entry per seed each."""
    groups = {"all": np.arange(world.n_users), "asked": asked}
    values = {name: np.stack([gains(one) for one in found]) for name, found in ranks.items()}  # (seeds, METRICS, users)
    rows = {name: _row(name, world, groups, added.get(name, ()), found) for name, found in values.items()}
    over_base = [(name, BASE) for name in added if name != BASE]
    over_controls = [("likes", name) for name in CONTROLS if {"likes", name} <= added.keys()]
    for pairs in (over_base, over_controls):
        for group, users in groups.items():
            for metric in TESTED:
                means = {name: found[:, METRICS.index(metric), users].mean(axis=0) for name, found in values.items()}
                found = [compare_users(metric, means[name], means[other]) for name, other in pairs]
                for (name, other), one, p in zip(pairs, found, holm([one.p for one in found]), strict=True):
                    rows[name].over.setdefault(group, {}).setdefault(other, []).append(Lift(one, p))
    return list(rows.values())


def _row(
    name: str, world: World, groups: Mapping[str, np.ndarray], added: Sequence[Additions], values: np.ndarray
) -> AugmentedRow:
    hits = [(more.items == next_items(world, more.users)).mean() for more in added if len(more.items)]
    metrics, by_seed, published = {}, {}, {}
    for group, users in groups.items():
        own = values[:, :, users]
        metrics[group] = dict(zip(METRICS, mean_of_users([*own.mean(axis=0)]), strict=True))
        by_seed[group] = [dict(zip(METRICS, seed.mean(axis=1).tolist(), strict=True)) for seed in own]
        if found := published_augmentation(name, group):
            published[group] = found
    size = np.mean([len(more.items) for more in added]) / len(groups["asked"]) if added else 0.0
    return AugmentedRow(name, float(size), float(np.mean(hits)) if hits else None, metrics, by_seed, published)

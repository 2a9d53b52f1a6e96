"""A ladder of recommenders, from one that knows the future down to chance: the slate that each shows to each user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vrsim.errors import DependencyError, EpisodeError, OptionError
from vrsim.last_items import first_unseen
from vrsim.progress import Progress, silent, within
from vrsim.recommender import Chance, Popularity
from vrsim.recommender.recbole_settings import require_recbole
from vrsim.recommender_options import row_options
from vrsim.recommender_rows import RankingRow
from vrsim.seeding import derive, row_keys
from vrsim.sources import SOURCES
from vrsim.world import World
from vrsim.worlds import train_recommender

__all__ = ["DEPTH", "MODELS", "ORACLE", "Ladder", "check_shown", "make_ladder"]

MODELS = ("SASRec", "GRU4Rec", "BPR", "ItemKNN")  # of RecBole, beside the world's own recommender
DAMAGE = (25, 50, 75)  # percent of the places of a slate that are filled at random
DEPTH = 100  # the counterfactual slate ends at this rank of the world's recommender
SHOWN = (4, 50)  # least and most items of a slate: fewer cannot be damaged in steps, more would reach rank 91
ORACLE, POPULARITY, RANDOM = "oracle", "popularity", "random"
SEED = 0  # of what is drawn: every simulated user is shown the same slates


@dataclass(frozen=True, eq=False)
class Ladder:
    """What each of R recommenders shows to each of U users at the user's last position."""

    users: np.ndarray  # int64 (U,), ascending
    slates: dict[str, np.ndarray]  # by rung: int64 (U, K), the first place first; unseen items, distinct in a row
    steps: tuple[str, ...]  # the world's recommender, damaged more and more, and random: worse by construction
    worse: np.ndarray  # int64 (U, K): the last K of the recommender's first DEPTH
    targets: np.ndarray  # int64 (U,): what each user took next
    left_out: dict[str, str] = field(default_factory=dict)  # recommenders, and why

    @property
    def own(self) -> str:
        """The rung of the world's recommender."""
        return self.steps[0]

    @property
    def undamaged(self) -> tuple[str, ...]:
        """The rungs that somebody could really use: not the oracle, not what was damaged on purpose."""
        return tuple(name for name in self.slates if name not in (ORACLE, *self.steps[1:-1]))


def make_ladder(
    world: World,
    users: np.ndarray,
    shown: int = 10,
    models: Sequence[str] = MODELS,
    options: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Ladder:
    """The slates of ``shown`` items for ``users`` int64 (U,), ascending.

    ``models`` of RecBole are trained on what the world's recommender was trained on, and kept for next time; without
    RecBole they are left out. ``options``: their settings, see vrsim.recommender_options. Random items are never among
    the first ``shown`` of the world's recommender, and the damaged slates hold those of the random one, so that
    every step down differs in the replaced places alone. Raises OptionError, UnknownNameError, EpisodeError.
    """
    check_shown(shown)
    own = world.manifest["config"]["recommender"]
    targets = world.targets[(users + 1) * world.holdout - 1]
    first, worse = _own_slates(world, users, shown)
    chance = Chance(world.n_items, derive(SEED, "ladder", RANDOM))
    drawn = _outside(first_unseen(chance, world, users, 2 * shown), first)
    slates = {ORACLE: _with_first(targets, first), own: first}
    settings, left_out = _settings(world, [name for name in models if name != own], options or {})
    for done, (name, given) in enumerate(settings.items()):
        progress(done, len(settings), f"training {name}")
        trained = train_recommender(world, name, given, within(progress, done, len(settings), name))
        slates[name] = first_unseen(trained, world, users, shown)
    slates[POPULARITY] = first_unseen(Popularity(world.popularity), world, users, shown)
    damaged = {f"{own}, {share} % random": _damaged(first, drawn, users, share) for share in DAMAGE}
    slates |= damaged | {RANDOM: drawn}
    if short := [name for name, slate in slates.items() if (slate == 0).any()]:
        raise _too_small(world, f"{short[0]} has no {shown} items that a user has not had")
    return Ladder(users, slates, (own, *damaged, RANDOM), worse, targets, left_out)


def check_shown(shown: int) -> None:
    """Raise OptionError unless slates can have so many items."""
    if type(shown) is not int or not SHOWN[0] <= shown <= SHOWN[1]:
        raise OptionError(f"a slate must have {SHOWN[0]} to {SHOWN[1]} items, found {shown!r}")


def _own_slates(world: World, users: np.ndarray, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last ``shown`` of the DEPTH best of the world's recommender, int64 (U, shown) each."""
    if world.candidates.shape[1] < DEPTH:
        kept = f"it has {world.n_items} items and keeps {world.candidates.shape[1]} ranked candidates"
        raise _too_small(world, f"{kept}; a larger one is built with candidates={DEPTH}")
    ranked = world.candidates[(users + 1) * world.holdout - 1, :DEPTH].astype(np.int64)
    if (ranked == 0).any():
        raise _too_small(world, "its recommender ranks fewer items for a user")
    return ranked[:, :shown], ranked[:, -shown:]


def _too_small(world: World, why: str) -> EpisodeError:
    return EpisodeError(f"world {world.name!r} is too small for slates down to rank {DEPTH}: {why}")


def _outside(ranked: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The first K of each row of ``ranked`` (U, 2 K) that are not in the same row of ``taken`` (U, K)."""
    inside = (ranked[:, :, None] == taken[:, None, :]).any(axis=2)
    order = np.argsort(inside, axis=1, kind="stable")[:, : taken.shape[1]]
    return np.take_along_axis(ranked, order, axis=1)


def _with_first(targets: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """The slate with each user's target in front, in place of where it stands or of the last item."""
    others = np.argsort(slate == targets[:, None], axis=1, kind="stable")[:, : slate.shape[1] - 1]
    return np.concatenate([targets[:, None], np.take_along_axis(slate, others, axis=1)], axis=1)


def _damaged(slate: np.ndarray, drawn: np.ndarray, users: np.ndarray, percent: int) -> np.ndarray:
    """The slate with some of its places filled from ``drawn``: a step further down replaces these and others."""
    size = slate.shape[1]
    order = np.argsort(row_keys(derive(SEED, "ladder", "damage"), users[:, None], size), axis=1)
    place = np.argsort(order, axis=1)  # (U, K): when it is replaced
    return np.where(place < (percent * size + 50) // 100, drawn, slate)


def _settings(
    world: World, models: Sequence[str], options: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The settings of each model, and the models that cannot be trained here, with the reason."""
    source = SOURCES.get(world.name.partition(":")[0])
    try:
        require_recbole()
        rows = [RankingRow(name, name) for name in models]
        return row_options(rows, source.options if source else {}, options, None), {}
    except DependencyError as error:
        return {}, dict.fromkeys(models, str(error))

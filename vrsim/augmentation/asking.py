"""Who is asked about the recommender's first items, what they say, and which interactions are made of it."""

import re
from dataclasses import dataclass

import numpy as np

from vrsim.episodes import split_users
from vrsim.errors import EpisodeError, OptionError
from vrsim.last_items import first_unseen
from vrsim.protocols import Protocol
from vrsim.recommender import Chance, Popularity
from vrsim.recommender.additions import Additions
from vrsim.seeding import derive, generator, row_keys
from vrsim.simulated_user import Judged
from vrsim.world import World

__all__ = [
    "DISLIKE",
    "LIKE",
    "UNREADABLE",
    "VARIANTS",
    "Answers",
    "additions",
    "asked_users",
    "read_answers",
    "read_cohort",
    "shown_items",
]

DISLIKE, LIKE, UNREADABLE = 0, 1, -1  # what is said of an item

VARIANTS = {  # what is added, by name
    "nothing added": "nothing: the same training again",
    "likes": "what the user agent likes",
    "dislikes": "what it dislikes",
    "likes and dislikes": "all that it answered about",
    "random": "as many items as likes, any that the user has not had",
    "popular": "as many, the most popular ones that the user has not had",
    "first": "as many, the recommender's first ones",
    "random of shown": "as many of the items shown, drawn without asking",
}


@dataclass(frozen=True, eq=False)
class Answers:
    """What B users said of the K items that each was shown."""

    users: np.ndarray  # int64 (B,), ascending
    shown: np.ndarray  # int64 (B, K), the recommender's first one first
    said: np.ndarray  # int8 (B, K): 1 like, 0 dislike, -1 unreadable


def read_cohort(text: str) -> tuple[bool, int]:
    """Whether the users with the fewest interactions are meant, and how many: ``cold:8000``, ``all:500``, ``500``."""
    found = re.fullmatch(r"(?:(cold|all):)?([0-9]+)", text)
    if not found or int(found[2]) < 1:
        raise OptionError(f"users must be cold:N, all:N or N, with N from 1, found {text!r}")
    return found[1] == "cold", int(found[2])


def asked_users(world: World, protocol: Protocol, cohort: str, seed: int = 0) -> np.ndarray:
    """Test users of the protocol, int64 (B,), ascending: at most as many as ``cohort`` says, see ``read_cohort``.

    Who is asked among equals is drawn. Raises OptionError and what vrsim.episodes.split_users raises.
    """
    cold, size = read_cohort(cohort)
    users = generator(seed, "augmentation", "users").permutation(split_users(world, protocol, "test"))
    if cold:
        users = users[np.argsort(world.interactions.lengths[users], kind="stable")]
    return np.sort(users[:size])


def shown_items(world: World, users: np.ndarray, size: int) -> np.ndarray:
    """The world's first candidates for each user's last item, int64 (B, size). Raises EpisodeError if there are fewer.

    They are items that the user has not had; the last item itself may be among them.
    """
    candidates = world.candidates[users * world.holdout + world.holdout - 1, :size].astype(np.int64)
    known = int((candidates > 0).sum(axis=1).min())
    if known < size:
        raise EpisodeError(f"world {world.name!r} knows {known} candidates of some users, {size} are to be shown")
    return candidates


def read_answers(judged: Judged, likes: int = 0) -> np.ndarray:
    """What is said of each item, int8 (B, K), see Answers.

    ``likes`` 0: Yes is a like and No a dislike. From 1: so many items of each user are likes, those with the highest
    probability of Yes, the first ones of equals. Raises OptionError where the agent tells no probabilities.
    """
    if not likes:
        liked = judged.yes
    elif judged.probability is None:
        raise OptionError("the user agent tells no probabilities: leave likes at 0, so that Yes is a like")
    else:
        chance = np.where(judged.valid, judged.probability, -1)
        liked = np.zeros_like(judged.yes)
        np.put_along_axis(liked, np.argsort(-chance, axis=1, kind="stable")[:, :likes], True, axis=1)
    return np.where(judged.valid, np.where(liked, LIKE, DISLIKE), UNREADABLE).astype(np.int8)


def additions(world: World, answers: Answers, variant: str, seed: int = 0) -> Additions:
    """The interactions of one of VARIANTS; ``seed`` draws the random ones."""
    users, shown, said = answers.users, answers.shown, answers.said
    likes = (said == LIKE).sum(axis=1, keepdims=True)  # (B, 1)
    first = np.arange(shown.shape[1]) < likes  # as many as likes
    drawn_from = derive(seed, "augmentation", variant)
    if variant == "nothing added":
        return Additions.none()
    if variant in ("likes", "dislikes", "likes and dislikes"):
        wanted = {"likes": said == LIKE, "dislikes": said == DISLIKE}.get(variant, said != UNREADABLE)
        return _added(users, shown, wanted)
    if variant == "first":
        return _added(users, shown, first)
    if variant == "random of shown":
        drawn = row_keys(drawn_from, users[:, None], shown.shape[1]).argsort(axis=1)
        wanted = np.zeros_like(first)
        np.put_along_axis(wanted, drawn, first, axis=1)
        return _added(users, shown, wanted)
    scores = Popularity(world.popularity) if variant == "popular" else Chance(world.n_items, drawn_from)
    return _added(users, first_unseen(scores, world, users, shown.shape[1]), first)


def _added(users: np.ndarray, items: np.ndarray, wanted: np.ndarray) -> Additions:
    """The wanted ones of each user's items, both (B, K)."""
    row, _ = np.nonzero(wanted)
    return Additions(users[row], items[wanted])

"""Protocols: frozen, named recipes that turn a world into episodes."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Literal

from vrsim.errors import UnknownNameError

__all__ = ["COHORTS", "PROTOCOLS", "SPLITS", "TASKS", "Protocol", "Wrong", "get_protocol", "list_protocols"]

TASKS = ("judgment", "selection")
SPLITS = ("train", "test")
COHORTS = ("all", "cold", "warm")

Wrong = Literal["", "recommended", "uniform", "rank-matched", "popularity-matched", "rated"]
"""Where the wrong answers of a task come from; "" = the protocol does not ask it; "rated" = the user's own ratings."""

WORDS = ("measures", "cannot", "source", "differs")  # the fields that describe, all others are the recipe


@dataclass(frozen=True)
class Protocol:
    """A card: who is asked, about what, where the wrong answers come from, and what a score then says.

    Users are split into train and test once, by ``split_seed``; the seed of the episodes only draws
    wrong answers and order. Test users are asked about their newest held-out positions, training users
    about every one. The right item is what the user really interacted with next.
    """

    name: str
    measures: str  # what a score says
    cannot: str  # what it does not say
    source: str  # who used it, where
    differs: tuple[str, ...] = ()  # how it differs from what was published
    judgment: Wrong = ""
    selection: Wrong = ""
    pool: tuple[int, int] = (1, 10)  # recommended: first and last place among the items that can be wrong answers
    top_up: bool = False  # recommended: if the pool has fewer than m items, the others are uniform
    per_positive: int = 1  # judgment: wrong items per right one
    per_user: int = 1  # newest held-out positions of a test user that are asked about
    history: int = 20  # items of the history that are shown
    shows: Literal["newest", "most popular"] = "newest"  # which items of the history; always oldest first
    least_interactions: int = 0  # of a user
    least_liked: int = 0  # ratings above 3 of a user; interactions, where the world has no ratings
    least_item: int = 0  # interactions of an item, to be right or wrong
    popular_target: bool = False  # only where the next item is more popular than all but ``history`` earlier ones
    test_share: float = 0.5  # share of the users who are test users
    test_users: int = 0  # at most this many of them, 0 = all
    split_seed: int = 0
    cold_share: float = 0.2  # cold: at most as many interactions as the user at this quantile; warm: the rest
    cold_length: int = 0  # cold: exactly this many interactions; 0 = by cold_share
    average: Literal["micro", "macro"] = "micro"  # metrics over all decisions, or per user and then averaged
    metric: Literal["accuracy", "auc"] = "accuracy"  # the number that agents are ordered by
    version: int = 1  # moves when the same world, seed and task give other episodes

    @property
    def hash(self) -> str:
        """SHA-256 of the recipe: the fields that differ from their defaults, without the descriptions."""
        defaults = {f.name: f.default for f in fields(self)}
        recipe = {k: v for k, v in asdict(self).items() if k not in WORDS and v != defaults[k]}
        return hashlib.sha256(json.dumps(recipe | {"version": self.version}, sort_keys=True).encode()).hexdigest()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it asks."""
        return tuple(task for task in TASKS if getattr(self, task))

    def sizes(self, task: str, m: tuple[int, ...]) -> tuple[int, ...]:
        """Wrong items per right one: the protocol's for a judgment, those asked for (``m``) for a selection."""
        return (self.per_positive,) if task == "judgment" else m


VRAGENT = "VRAgent-R1 (AAAI 2026)"


def _agent4rec(k: int) -> Protocol:
    return Protocol(
        name=f"agent4rec-1to{k}",
        judgment="uniform",
        per_positive=k,
        per_user=20 // (k + 1),
        least_liked=20,
        test_users=1000,
        split_seed=101,
        average="macro",
        measures=f"telling what a user took next from {k} items drawn at random for each, per user, then averaged",
        cannot="understanding of the user: popularity and the recommender's own score separate most items",
        source="Agent4Rec (SIGIR 2024), MovieLens-1M; users with at least 20 ratings above 3, 1,000 of them, seed 101",
        differs=(
            "right items are the user's last ones, not a random 60 %, which an agent that reads the history would know",
            "a world with holdout 1 asks about one right item per user; holdout=10 gives the page, up to 20 items",
            "every item is a question of its own, not a line of one page",
            "the 1,000 users are drawn by numpy from seed 101; fewer than 2,000 eligible users: half of them",
        ),
    )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="vragent-paper",
            judgment="recommended",
            selection="recommended",
            measures="telling a user's next item from the recommender's ten favourites",
            cannot="understanding of the user: the target is mostly what the recommender ranks lowest, "
            "so an agent that takes the lowest score wins without reading",
            source=f"{VRAGENT}, section on the User Simulation Agent",
            differs=("half of the users are test users; the paper draws 1,000 cold-start users",),
        ),
        Protocol(
            name="vragent-code",
            judgment="uniform",
            selection="recommended",
            pool=(8, 10),
            top_up=True,
            history=8,
            cold_length=5,
            measures="judgment: telling a user's next item from one drawn at random; selection: from the recommender's "
            "places 8 to 10",
            cannot="understanding of the user: one task is won by the highest score, the other by the lowest",
            source=f"{VRAGENT}, released code",
            differs=(
                "half of the users are test users; ask for the cohort cold to get those with exactly 5 interactions",
            ),
        ),
        *(_agent4rec(k) for k in (1, 2, 3, 9)),
        Protocol(
            name="tallrec",
            judgment="rated",
            per_positive=0,
            history=10,
            least_interactions=11,
            test_share=0.1,
            metric="auc",
            measures="telling the films a user will rate above 3 from those rated 3 or less",
            cannot="what a user takes next: both kinds of item were taken; good films are liked by most users",
            source="TALLRec (RecSys 2023), MovieLens-100K; AUC after 16, 64 or 256 examples",
            differs=(
                "asked are the held-out interactions of 10 % of the users, not the newest 1,000 windows of all users",
                "the training users are all others, not 16, 64 or 256 examples",
            ),
        ),
        Protocol(
            name="mllm-msr",
            judgment="uniform",
            per_positive=20,
            history=5,
            shows="most popular",
            least_interactions=7,
            least_item=5,
            popular_target=True,
            test_share=0.1,
            metric="auc",
            measures="ranking a user's next item among 20 items drawn at random, by the probability of Yes",
            cannot="accuracy: always No is right 20 times out of 21; and the target is one of the user's most popular "
            "items, so that popularity alone goes far",
            source="MLLM-MSR (AAAI 2025), MicroLens-50K; users with 7 and items with 5 interactions; AUC, recall, NDCG",
            differs=(
                "only users whose last interaction is one of their six most popular items: the recommender has seen "
                "what they did before",
                "users are split 9:1, not 8:1:1",
            ),
        ),
        Protocol(
            name="uniform",
            judgment="uniform",
            selection="uniform",
            measures="telling a user's next item from items drawn at random",
            cannot="understanding of the user: popularity and the recommender's own score separate most slates",
            source="the usual negative sampling",
        ),
        Protocol(
            name="popularity-matched",
            judgment="popularity-matched",
            selection="popularity-matched",
            measures="telling a user's next item from items that are as popular",
            cannot="anything that the recommender does not know already: its score still separates the slate",
            source="vrsim; items are cut into blocks of 20 by popularity, slates are drawn so that the place in the "
            "block says next to nothing",
        ),
        Protocol(
            name="rank-matched",
            judgment="rank-matched",
            selection="rank-matched",
            measures="what an agent knows about the user beyond the recommender: no function of the recommender's "
            "scores and ranks does better than chance",
            cannot="the easy part, which a recommender knows as well; popularity still says something",
            source="vrsim; the ranking is cut into blocks of 20, slates are drawn so that the place in the block "
            "says nothing",
        ),
    )
}


def list_protocols() -> list[Protocol]:
    """All protocols, in the order in which they are documented."""
    return list(PROTOCOLS.values())


def get_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises UnknownNameError."""
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]

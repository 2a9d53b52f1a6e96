"""Recommenders: what one is, four simple ones, and every model of RecBole."""

from vrsim.recommender.simple import (
    BLOCK,
    CONTEXT,
    Chance,
    ItemTransitions,
    Popularity,
    RankedCandidates,
    Recommender,
    rank_targets,
    rank_unseen,
)

__all__ = [
    "BLOCK",
    "CONTEXT",
    "Chance",
    "ItemTransitions",
    "Popularity",
    "RankedCandidates",
    "Recommender",
    "rank_targets",
    "rank_unseen",
]

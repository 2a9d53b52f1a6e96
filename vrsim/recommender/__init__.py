"""Recommenders: what one is, three simple ones, and every model of RecBole."""

from vrsim.recommender.simple import (
    BLOCK,
    CONTEXT,
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
    "ItemTransitions",
    "Popularity",
    "RankedCandidates",
    "Recommender",
    "rank_targets",
    "rank_unseen",
]

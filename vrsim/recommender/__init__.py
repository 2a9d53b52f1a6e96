"""Recommenders: what one is, two simple ones, and every model of RecBole."""

from vrsim.recommender.simple import CONTEXT, ItemTransitions, RankedCandidates, Recommender, rank_unseen

__all__ = ["CONTEXT", "ItemTransitions", "RankedCandidates", "Recommender", "rank_unseen"]

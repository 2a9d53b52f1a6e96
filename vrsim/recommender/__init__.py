"""Recommenders: what one is, two simple ones, and every model of RecBole."""

from vrsim.recommender.simple import BLOCK, CONTEXT, ItemTransitions, RankedCandidates, Recommender, rank_unseen

__all__ = ["BLOCK", "CONTEXT", "ItemTransitions", "RankedCandidates", "Recommender", "rank_unseen"]

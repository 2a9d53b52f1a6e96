"""Recommender agents for sessions that read no words."""

__all__ = ["POLICIES"]

POLICIES = {
    "random": "vrsim.baselines.recommending.fixed:RandomSlate",
    "popularity": "vrsim.baselines.recommending.fixed:PopularSlate",
    "greedy": "vrsim.baselines.recommending.fixed:GreedySlate",
}

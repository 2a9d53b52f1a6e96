"""Recommender agents for sessions that read no words."""

__all__ = ["POLICIES"]

POLICIES = {  # name: where it lives; the registry reads this
    "random": "vrsim.baselines.recommending.fixed:RandomSlate",
    "popularity": "vrsim.baselines.recommending.fixed:PopularSlate",
    "greedy": "vrsim.baselines.recommending.fixed:GreedySlate",
    "epsilon-greedy": "vrsim.baselines.recommending.exploration:EpsilonGreedy",
    "linear": "vrsim.baselines.recommending.linear:LinearSlate",
    "slateq": "vrsim.baselines.recommending.slateq:SlateQ",
    "sb3": "vrsim.baselines.recommending.sb3:ReinforcedSlate",
}

"""The classical agents: nothing here reads words with a language model."""

if __name__ != "vrsim.baselines":
    raise ImportError(f"this package is vrsim.baselines, not {__name__}; import it under that name")

__all__ = ["AGENTS", "SHORTCUTS"]

AGENTS = {  # name: where it lives; the registry reads this
    "uniform": "vrsim.baselines.uniform:Uniform",
    "constant": "vrsim.baselines.constant:Constant",
    "popularity": "vrsim.baselines.popularity:Popularity",
    "recommender": "vrsim.baselines.recommender:RecommenderScore",
    "content": "vrsim.baselines.content:Content",
    "graph": "vrsim.baselines.graph:Graph",
    "title": "vrsim.baselines.title:Title",
    "age": "vrsim.baselines.age:Age",
    "learned": "vrsim.baselines.learned:Learned",
    "bandit": "vrsim.baselines.bandit:Bandit",
    "sb3": "vrsim.baselines.sb3:StableBaselines",
}

SHORTCUTS = (  # agents that know nothing of what a user wants; the audit plays them
    "constant",
    "constant:answer=no,place=1",
    "recommender",
    "recommender:order=lowest",
    "popularity",
    "popularity:order=least",
    "title:order=longest",
    "title:order=shortest",
    "age:order=newest",
    "age:order=oldest",
    "graph",
    "graph:order=least",
    "content",
    "content:order=least",
)

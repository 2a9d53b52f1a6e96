"""The classical agents: nothing here reads words with a language model."""

if __name__ != "vrsim.baselines":
    raise ImportError(f"this package is vrsim.baselines, not {__name__}; import it under that name")

__all__ = ["AGENTS"]

AGENTS = {  # name: where it lives; the registry reads this
    "uniform": "vrsim.baselines.uniform:Uniform",
    "constant": "vrsim.baselines.constant:Constant",
    "popularity": "vrsim.baselines.popularity:Popularity",
    "recommender": "vrsim.baselines.recommender:RecommenderScore",
    "content": "vrsim.baselines.content:Content",
}

"""The data sets that vrsim knows by name."""

from vrsim.sources.microlens import MICROLENS_50K, MICROLENS_100K
from vrsim.sources.movielens import ML_1M, TERMS, ml_100k
from vrsim.sources.source import Form, Source
from vrsim.sources.steam import STEAM

__all__ = ["SOURCES", "Form", "Source", "ml_100k", "terms_of"]

SOURCES = {source.name: source for source in (ML_1M, STEAM, MICROLENS_50K, MICROLENS_100K)}


def terms_of(world: str) -> str:
    """What is known about passing on the data behind a world of this name, "" = they are not a published data set."""
    source = world.partition(":")[0]
    if source == "ml-100k":
        return TERMS
    return SOURCES[source].terms if source in SOURCES else ""

"""The data sets that vrsim knows by name."""

from vrsim.sources.microlens import MICROLENS_50K, MICROLENS_100K
from vrsim.sources.movielens import ML_1M, ml_100k
from vrsim.sources.source import Form, Source
from vrsim.sources.steam import STEAM

__all__ = ["SOURCES", "Form", "Source", "ml_100k"]

SOURCES = {source.name: source for source in (ML_1M, STEAM, MICROLENS_50K, MICROLENS_100K)}

"""``content``: how much an item's title and genres resemble the history, by TF-IDF (scikit-learn)."""

from typing import final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from vrsim.agent import Observations
from vrsim.baselines.scores import ScoreAgent
from vrsim.world import World

__all__ = ["Content"]


@final
class Content(ScoreAgent):
    """Take the item whose words are most (or least) like those of the shown history.

    The number is the cosine between the item's TF-IDF vector and the mean of the history's.
    """

    orders = ("most", "least")

    def __init__(self, order: str = "most") -> None:
        super().__init__(order)

    def prepare(self, world: World) -> None:
        catalog = world.catalog
        words = [
            " ".join([title, *("genre_" + g.replace(" ", "_") for g in genres), caption])
            for title, genres, caption in zip(catalog.titles, catalog.genres, catalog.captions, strict=True)
        ]
        words.append("word")  # a row of no item: without it, titles without any word would be an error
        vectorizer = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True, dtype=np.float32)
        self._vectors = vectorizer.fit_transform(words)  # sparse, row 0 is empty

    def score(self, observations: Observations) -> np.ndarray:
        history, slate = observations["history"], observations["slate"]
        profile = sum(self._vectors[column] for column in history.T)
        profile = normalize(profile)  # sparse (B, words)
        columns = [self._vectors[column].multiply(profile).sum(axis=1) for column in slate.T]
        return np.asarray(np.hstack(columns), float)  # (B, K)

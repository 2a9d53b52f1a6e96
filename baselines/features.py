"""What is known of each item of a slate, as one row of numbers: what the agents that learn are given."""

from typing import final

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from vrsim.agent import Observations
from vrsim.baselines.content import Content
from vrsim.baselines.graph import Graph
from vrsim.baselines.recommender import position_scores
from vrsim.episodes import Episodes
from vrsim.world import World

__all__ = ["NAMES", "SlateFeatures"]

NAMES = (
    "score",  # of the world's recommender, in its own unit; the position's lowest where it refuses to score
    "rank",  # share of all items that the recommender scores lower, 0 to 1
    "popularity",  # log(1 + interactions in the training part)
    "late",  # log(1 + how often it is among a user's last 3 interactions of the training part)
    "trend",  # late minus the same of the first 3: above 0 = people come to it late
    "content",  # cosine of words and genres with the shown history (agent content), 0 to 1
    "genres",  # share of the item's genres that occur in the shown history, 0 to 1; 0 if it has none
    "year",  # of the item, 0 if unknown
    "years",  # year of the item minus the mean known year of the shown history; 0 if either is unknown
    "graph",  # damped mass that arrives at the item (agent graph)
    "words",  # share of the title's words, without English stop words, in titles of the history, 0 to 1
)
BATCH = 256  # episodes at a time
ENOUGH = 20_000  # episodes for means and deviations
ENDS = 3  # interactions that are early, and late, in the life of a user


@final
class SlateFeatures:
    """F numbers for each item of each slate, none of which depends on the other items of the slate.

    ::

        features = SlateFeatures()
        features.fit(world, training)
        features.of(observations)  # float64 (B, K, F), columns in the order of NAMES
        features.standardised(observations)  # the same, mean 0 and deviation 1 over the training slates
    """

    def fit(self, world: World, training: Episodes) -> None:
        """Get ready for this world; mean and deviation come from every item of the training slates."""
        catalog = world.catalog
        self._scores = position_scores(world, None, "{}")
        self._content, self._graph = Content(), Graph()
        self._content.prepare(world)
        self._graph.prepare(world)
        self._popularity = np.log1p(world.popularity)
        self._early, self._late = _ends(world)
        self._years = np.asarray(catalog.years, float)
        self._genres = _table([[genre.replace(" ", "_") for genre in names] for names in catalog.genres], None)
        self._words = _table([[title] for title in catalog.titles], "english")
        rows = self.of_all(training.thinned(ENOUGH)).reshape(-1, len(NAMES))
        deviation = rows.std(axis=0)
        self.mean = rows.mean(axis=0)  # float64 (F,)
        self.deviation = np.where(deviation > 1e-12, deviation, 1.0)  # float64 (F,); 1 where a column is constant

    def of(self, observations: Observations) -> np.ndarray:
        """The features in their own units, float64 (B, K, F)."""
        history, slate = observations["history"], observations["slate"]
        scores = self._scores.of(observations["position"])  # (B, n_items + 1)
        own = np.take_along_axis(scores, slate, axis=1)
        rank = [(scores[:, 1:] < column[:, None]).mean(axis=1) for column in own.T]  # one (B, n_items) at a time
        columns = {
            "score": _finite(own, scores),
            "rank": np.stack(rank, axis=1),
            "popularity": self._popularity[slate],
            "late": self._late[slate],
            "trend": self._late[slate] - self._early[slate],
            "content": self._content.score(observations),
            "genres": _shared(self._genres, history, slate),
            "year": self._years[slate],
            "years": self._distance(history, slate),
            "graph": self._graph.score(observations),
            "words": _shared(self._words, history, slate),
        }
        return np.stack([np.asarray(columns[name], float) for name in NAMES], axis=2)

    def standardised(self, observations: Observations) -> np.ndarray:
        """The features with mean 0 and deviation 1 over the training slates, float64 (B, K, F)."""
        return (self.of(observations) - self.mean) / self.deviation

    def of_all(self, *parts: Episodes) -> np.ndarray:
        """``of`` every episode of every part, one after the other, float64 (N, K, F)."""
        asked = [part.observe(np.arange(len(part))) for part in parts]
        observations = {name: np.concatenate([one[name] for one in asked]) for name in asked[0]}
        positions = observations["position"]
        order = np.lexsort((positions[:, 1], positions[:, 0]))  # a position is scored once per batch
        numbers = np.empty((*observations["slate"].shape, len(NAMES)))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            numbers[rows] = self.of({name: column[rows] for name, column in observations.items()})
        return numbers

    def _distance(self, history: np.ndarray, slate: np.ndarray) -> np.ndarray:
        known = (self._years[history] > 0).sum(axis=1, keepdims=True)
        mean = self._years[history].sum(axis=1, keepdims=True) / np.maximum(known, 1)
        return np.where((known > 0) & (self._years[slate] > 0), self._years[slate] - mean, 0.0)


def _finite(own: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """``own`` scores (B, K), those that are infinite replaced by the lowest finite one of all ``scores`` (B, items)."""
    if np.isfinite(own).all():
        return own
    lowest = np.where(np.isfinite(scores[:, 1:]), scores[:, 1:], np.inf).min(axis=1, keepdims=True)
    return np.where(np.isfinite(own), own, np.where(np.isfinite(lowest), lowest, 0.0))


def _ends(world: World) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + how often each item is among the first, and among the last, ENDS of a user), float (n_items + 1,)."""
    interactions = world.interactions
    users = np.repeat(np.arange(interactions.n_users), interactions.lengths)
    place = np.arange(len(interactions)) - interactions.offsets[users]
    left = interactions.lengths[users] - world.holdout - place  # from 1 on in the training part
    known = interactions.training_rows(world.holdout)
    early, late = (
        np.bincount(interactions.items[known & rows], minlength=world.n_items + 1)
        for rows in (place < ENDS, left <= ENDS)
    )
    return np.log1p(early), np.log1p(late)


def _table(texts: list[list[str]], stop_words: str | None) -> csr_matrix:
    """Which item has which word, float (n_items + 1, words), 0 or 1; row 0 belongs to no item."""
    pattern = r"\w+" if stop_words else r"\S+"  # genres are kept whole
    vectorizer = CountVectorizer(binary=True, token_pattern=pattern, stop_words=stop_words, dtype=float)
    return vectorizer.fit_transform([" ".join(names) for names in texts] + ["word"])[:-1]  # never without a word


def _shared(table: csr_matrix, history: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """Share of each slate item's words that occur in the history, float (B, K), 0 where it has none."""
    seen = sum(table[column] for column in history.T)  # sparse (B, words)
    seen.data[:] = 1.0
    shared = [np.asarray(table[column].multiply(seen).sum(axis=1)) for column in slate.T]
    words = np.asarray(table.sum(axis=1)).ravel()[slate]
    return np.hstack(shared) / np.maximum(words, 1)

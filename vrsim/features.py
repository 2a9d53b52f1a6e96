"""Items as vectors: of their words by a text encoder, of images and videos from a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vrsim.catalog import Catalog
from vrsim.errors import DataError, OptionError
from vrsim.item_tables import read_vectors
from vrsim.progress import Progress, silent
from vrsim.seeding import derive

__all__ = ["ENCODERS", "item_features", "item_texts", "text_features"]

ENCODERS = ("tfidf", "st:NAME", "hf:NAME")
DIMENSIONS = 256  # of the default encoder, fewer where there are fewer texts
WORDS, PIECES = 20_000, 50_000  # most frequent words and pairs of words, and pieces of words, that are counted


def item_texts(catalog: Catalog) -> list[str]:
    """Title, genres and caption of each item, n_items + 1 strings, the first one blank; "" = nothing is known."""
    texts = [""]
    known = zip(catalog.ids, catalog.titles, catalog.genres, catalog.captions, strict=True)
    for name, title, genres, caption in list(known)[1:]:
        parts = ("" if title == f"Untitled {name}" else title, ", ".join(genres), caption)
        texts.append(". ".join(part.strip().rstrip(".") for part in parts if part.strip()))
    return texts


def text_features(texts: Sequence[str], encoder: str = "tfidf", progress: Progress = silent) -> np.ndarray:
    """The meaning of each text, float32 (len(texts), D), each row of length 1; a blank text gives zeros.

    ``encoder``: "tfidf" (words and pieces of words, weighed by TF-IDF and reduced to at most 256 dimensions by a
    truncated SVD: no download, the same on every run), "st:NAME" (a model of sentence-transformers) or "hf:NAME"
    (any encoder of transformers, or folder of one, the mean over its tokens). Raises OptionError, DataError,
    DependencyError, ModelError.
    """
    there = [place for place, text in enumerate(texts) if text.strip()]
    if not there:
        raise DataError("expected items with a title, genres or a caption, found none")
    known = [texts[place] for place in there]
    kind, _, name = encoder.partition(":")
    if encoder == "tfidf":
        vectors = _tfidf(known)
    elif kind in ("st", "hf") and name:
        from vrsim.models.encoders import encode_by_sentence_transformers, encode_by_transformers

        if kind == "hf":
            vectors = encode_by_transformers(name, known, progress)
        else:
            vectors = encode_by_sentence_transformers(name, known)
    else:
        raise OptionError(f"encoder must be one of {', '.join(ENCODERS)}, found {encoder!r}")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    features = np.zeros((len(texts), vectors.shape[1]), np.float32)
    features[there] = vectors / np.where(length > 0, length, 1)
    return features


def item_features(
    catalog: Catalog, names: str, encoder: str, vectors: str | Path = "", progress: Progress = silent
) -> dict[str, np.ndarray]:
    """What is known of each item by name, float32 (n_items + 1, D) each; zeros = nothing.

    ``names`` are joined by "+": "text" is the item's words by ``encoder``, any other one a column of the table
    ``vectors``, see ``read_vectors``.
    """
    parts = names.split("+")
    others = [name for name in parts if name != "text"]
    found = read_vectors(Path(vectors), catalog, others) if others else {}
    if "text" in parts:
        found["text"] = text_features(item_texts(catalog), encoder, progress)
    return {name: found[name] for name in parts}


def _tfidf(texts: Sequence[str]) -> np.ndarray:
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    common = {"sublinear_tf": True, "dtype": np.float32}
    counted = (
        TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), max_features=WORDS, **common),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), max_features=PIECES, **common),
    )
    # A word more in every text: without it, texts of signs alone would be an error.
    matrix = hstack([vectorizer.fit_transform([f"{text} item" for text in texts]) for vectorizer in counted]).tocsr()
    size = min(DIMENSIONS, *matrix.shape)
    return TruncatedSVD(size, random_state=derive(0, "text features") % 2**32).fit_transform(matrix)

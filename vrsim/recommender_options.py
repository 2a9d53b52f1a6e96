"""How the rows of a suite of recommenders are trained: what makes each of them, and what a person sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vrsim.errors import OptionError, UnknownNameError
from vrsim.item_tables import table_key
from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options
from vrsim.recommender_rows import RankingRow

__all__ = ["row_options"]

GIVEN_OTHERWISE = {
    "seed": "every row is trained with the seeds 0, 1, ...: give their number as --seeds",
    "vectors": "give the table of vectors as --vectors",
    "features": "every row reads what its name says; leave features out",
}


def row_options(
    rows: Sequence[RankingRow], usual: Mapping[str, Any], given: Mapping[str, Any], vectors: Path | None
) -> dict[str, dict[str, Any]]:
    """The settings of the model of each row that is trained, by row.

    ``given``: NAME is a setting of every model that has it, MODEL.NAME of that model alone. ``usual`` ones are those
    of the data set, for models that have them. Raises OptionError, and UnknownNameError for a setting that none has.
    """
    key = "" if vectors is None else table_key(vectors)  # a large file is read once
    trained = {row.name: row for row in rows if row.model}
    base = {name: row.options | ({"vectors": key} if {*row.reads} - {"text"} else {}) for name, row in trained.items()}
    found = {name: dict(options) for name, options in base.items()}
    if "preset" not in given:
        for name, row in trained.items():
            found[name] |= {k: v for k, v in usual.items() if _refusal(row.model, base[name], k, v) is None}
    for text in sorted(given, key=lambda text: "." in text):
        model, _, setting = text.rpartition(".")
        if why := GIVEN_OTHERWISE.get(setting):
            raise OptionError(why)
        asked = [row for row in trained.values() if model in ("", row.model)]
        if not asked:
            raise UnknownNameError("model of the rows", model, {row.model for row in trained.values()})
        refusals = [_refusal(row.model, base[row.name], setting, given[text]) for row in asked]
        if all(refusals):
            raise refusals[-1]
        for row, refusal in zip(asked, refusals, strict=True):
            found[row.name] |= {} if refusal else {setting: given[text]}
    return {
        name: options | ({"vectors": str(vectors)} if "vectors" in options else {}) for name, options in found.items()
    }


def _refusal(model: str, base: Mapping[str, Any], name: str, value: Any) -> UnknownNameError | None:
    """The error that says that a model has no such setting, None = it has; a wrong value is raised at once."""
    try:
        resolved_options(RecBoleConfig(model, {**base, name: value}))
    except UnknownNameError as error:
        if error.kind != f"option of {model}":
            raise
        return error
    return None

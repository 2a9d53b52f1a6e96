"""What a published data set is: the files it comes in, where they are looked for, and what must be in them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vrsim.data import Data, make_data
from vrsim.errors import DataError
from vrsim.table_files import INTERACTION_COLUMNS, ITEM_COLUMNS, read_table

__all__ = ["Form", "Source", "atomic", "read_bytes", "read_events", "read_items"]

Tables = tuple[Path, pa.Table, Path, pa.Table]  # interactions and items as ``make_data`` takes them
Found = Mapping[str, Path]  # the files of a form by name


@dataclass(frozen=True)
class Form:
    """One way in which the files of a data set are published or passed on."""

    about: str
    files: tuple[str, ...]  # all of them must be there, plain or with .gz
    read: Callable[[Found], Tables]
    counts: Mapping[str, int] = field(default_factory=dict)  # the publisher's: users, items, interactions
    optional: tuple[str, ...] = ()  # read where they are there


@dataclass(frozen=True)
class Source:
    """A data set of the field, found on this machine."""

    name: str
    about: str
    publisher: str  # who publishes it, and where
    terms: str  # what is known about passing the data on, as the end of a sentence
    folders: tuple[str, ...]  # where the files may lie below VRSIM_DATA
    forms: tuple[Form, ...]
    least_users: int = 1  # items with fewer interactions are left out
    options: Mapping[str, Any] = field(default_factory=dict)  # settings of SASRec, where the usual ones do not fit

    def load(self, shortest: int) -> Data:
        """Read the first form whose files are all there. Raises DataError."""
        for form in self.forms:
            for folder in self._places():
                files = {name: _file(folder, name) for name in form.files + form.optional}
                if all(files[name] for name in form.files):
                    return self._read(form, {name: file for name, file in files.items() if file}, shortest)
        raise DataError(self._missing())

    def _places(self) -> list[Path]:
        root = os.environ.get("VRSIM_DATA")
        below = [Path(root).expanduser() / folder for folder in (*self.folders, ".")] if root else []
        return [*below, Path("dataset") / self.name]  # the last one is where RecBole downloads to

    def _read(self, form: Form, files: Found, shortest: int) -> Data:
        events_path, events, items_path, items = form.read(files)
        found = {
            "users": pc.count_distinct(events["user_id"]).as_py(),
            "items": pc.count_distinct(events["item_id"]).as_py(),
            "interactions": events.num_rows,
        }
        wrong = [f"{form.counts[k]:,} {k}, found {found[k]:,}" for k in form.counts if form.counts[k] != found[k]]
        if wrong:
            raise DataError(
                f"{events_path}: this is not {self.name} as published: expected {'; expected '.join(wrong)}. "
                f"Fetch the files again ({self.publisher}), or build a world of your own from them with "
                "vrsim world build --interactions"
            )
        data = make_data(events_path, events, items_path, items, shortest, self.least_users)
        origin = {"form": form.about, "publisher": self.publisher, "published_counts": dict(form.counts)}
        return replace(data, origin=origin)

    def _missing(self) -> str:
        forms = "\n".join(f"  {form.about}: {', '.join(form.files)}" for form in self.forms)
        places = ", ".join(map(str, self._places()))
        hint = "" if os.environ.get("VRSIM_DATA") else ". Set VRSIM_DATA to the folder that holds your data sets"
        return (
            f"the files of {self.name} were not found. Expected, plain or with .gz, one of\n{forms}\n"
            f"looked for in {places}{hint}.\nPublished by {self.publisher}; vrsim may not pass them on"
        )


def _file(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None)


def read_bytes(path: Path) -> bytes:
    """The content of a file, plain or .gz. Raises DataError."""
    try:
        with pa.input_stream(path, compression="detect") as stream:
            return stream.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def read_events(path: Path, order: str = "time or position") -> pa.Table:
    """A table of interactions with the columns of vrsim.table_files."""
    return read_table(path, INTERACTION_COLUMNS, required=("user_id", "item_id", order))


def read_items(path: Path) -> pa.Table:
    """A table of items with the columns of vrsim.table_files."""
    return read_table(path, ITEM_COLUMNS, required=("item_id", "title"))


def atomic(name: str, counts: Mapping[str, int]) -> Form:
    """RecBole's atomic files."""

    def read(files: Found) -> Tables:
        inter, item = files[f"{name}.inter"], files[f"{name}.item"]
        return inter, read_events(inter), item, read_items(item)

    return Form("RecBole's atomic files", (f"{name}.inter", f"{name}.item"), read, counts)

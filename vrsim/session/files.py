"""Sessions as files: one parquet table per policy and seed, one row per turn."""

import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vrsim.errors import ResultsError
from vrsim.session.loop import SessionLog
from vrsim.whole_files import write_whole

__all__ = ["read_sessions", "write_sessions"]

OF = "vrsim.sessions.of"  # key of the file's metadata
COLUMNS = tuple(f.name for f in fields(SessionLog))


def write_sessions(log: SessionLog, file: Path, of: str = "") -> None:
    """Write the turns, and what they are turns ``of``; ``slate`` is a column of lists. Raises ResultsError."""
    columns = {name: pa.array(getattr(log, name)) for name in COLUMNS if name != "slate"}
    items = pa.array(log.slate.ravel())
    columns["slate"] = pa.FixedSizeListArray.from_arrays(items, log.slate.shape[1])
    stream = io.BytesIO()
    table = pa.table({name: columns[name] for name in COLUMNS}).replace_schema_metadata({OF: of})
    pq.write_table(table, stream)
    write_whole(file, stream.getvalue())


def read_sessions(file: Path, of: str = "") -> SessionLog:
    """The turns of a file of ``write_sessions``. Raises ResultsError for anything else, and for turns ``of`` others."""
    try:
        table = pq.read_table(file)
        columns = {name: table[name].combine_chunks() for name in COLUMNS if name != "slate"}
        slates = table["slate"].combine_chunks()
        slate = np.asarray(slates.flatten()).reshape(len(slates), -1)
    except (OSError, pa.ArrowInvalid, KeyError, AttributeError) as error:
        raise ResultsError(f"{file} holds no sessions ({error}); delete it and give the same command") from error
    found = (table.schema.metadata or {}).get(OF.encode(), b"").decode()
    if found != of:
        raise ResultsError(f"{file} holds sessions of {found!r}, not of {of!r}; delete it and give the same command")
    arrays = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
    return SessionLog(slate=slate, **arrays)

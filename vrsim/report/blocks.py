"""Columns of data inside a page: packed, compressed, and as text that HTML cannot take for anything else.

A block is gzip of: the length of the head (4 bytes, little-endian), the head (JSON, padded with spaces to a
multiple of 8 bytes), then the columns, each padded to a multiple of 8 bytes. ``decode.js`` reads it.
"""

import base64
import gzip
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["Column", "narrow", "pack", "script"]

Column = np.ndarray | str
"""Integers from 0 of one dimension, or a text."""

TYPES = {"u1": "Uint8Array", "u2": "Uint16Array", "u4": "Uint32Array"}


def pack(head: Mapping[str, Any], columns: Mapping[str, Column]) -> bytes:
    """A block, the same bytes for equal content. Integers are stored in as few bytes as the largest needs."""
    layout, parts, at = {}, [], 0
    for name, column in columns.items():
        if isinstance(column, str):
            data, kind = column.encode("utf-8"), "text"
        else:
            narrowed = narrow(column)
            data, kind = narrowed.tobytes(), TYPES[narrowed.dtype.str[1:]]
        layout[name] = [kind, at, len(data)]
        parts.append(data + b"\0" * (-len(data) % 8))
        at += len(parts[-1])
    start = json.dumps({**head, "columns": layout}, ensure_ascii=False).encode("utf-8")
    start += b" " * ((-len(start) - 4) % 8)
    return gzip.compress(b"".join([struct.pack("<I", len(start)), start, *parts]), compresslevel=6, mtime=0)


def narrow(values: np.ndarray) -> np.ndarray:
    """Integers from 0 as little-endian uint8, uint16 or uint32, flat."""
    largest = int(values.max(initial=0))
    return values.ravel().astype("<u1" if largest < 2**8 else "<u2" if largest < 2**16 else "<u4")


def script(name: str, block: bytes) -> str:
    """A block as an element of the page that no browser runs."""
    return f'<script type="application/gzip" id="{name}">{base64.b64encode(block).decode("ascii")}</script>\n'

"""Files that are written at once or not at all."""

import os
from pathlib import Path

from vrsim.errors import ResultsError

__all__ = ["write_whole"]


def write_whole(file: Path, data: bytes) -> None:
    """Write a file, and its folder, in place of what is there. Raises ResultsError, with nothing changed."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(file)
    except OSError as error:
        raise ResultsError(f"{file} cannot be written: {error}; make room and give the same command") from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)

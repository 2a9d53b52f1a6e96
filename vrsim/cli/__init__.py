"""The command line: ``vrsim bench``, ``play``, ``audit``, ``report``, ``train``, ``caption``, ``world`` and so on.

Exit codes: 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted.
"""

import sys

from rich.markup import escape

from vrsim.cli import audit, augment, bench, caption, fidelity, lists, play, pocket, protocols, sessions, train, worlds  # noqa: F401  each module adds its commands
from vrsim.cli.app import app, err_console
from vrsim.errors import VrsimError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; known errors become one message and an exit code."""
    try:
        app()
    except VrsimError as error:
        err_console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)

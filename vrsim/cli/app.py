"""What the commands share: the application, the two consoles, and how rows are printed."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import vrsim
from vrsim.errors import OptionError
from vrsim.naming import parse_value

__all__ = ["Json", "app", "err_console", "out_console", "print_rows", "read_settings"]

app = typer.Typer(
    help="vrsim: a gym for simulated users of recommender systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

out_console, err_console = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables.")]


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if show:
        print(vrsim.__version__)
        raise typer.Exit


def read_settings(options: Sequence[str], **own: Any) -> dict[str, Any]:
    """The settings that were given: ``own`` ones that are not None, and NAME=VALUE ones. Raises OptionError."""
    given = {name: value for name, value in own.items() if value is not None}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(f"expected --option NAME=VALUE, found {text!r}")
        if name in given:
            raise OptionError(f"{name} is given twice")
        given[name] = parse_value(value)
    return given


def print_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """One line per row, or all of it as JSON."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape("\n".join(row[c]) if isinstance(row[c], list) else row[c]) for c in columns))
    out_console.print(table)

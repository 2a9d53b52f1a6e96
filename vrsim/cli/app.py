"""What the commands share: the application, the two consoles, and how rows are printed."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import vrsim

__all__ = ["Json", "app", "err_console", "out_console", "print_rows"]

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


def print_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """One line per row, or all of it as JSON."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape("\n".join(row[c]) if isinstance(row[c], list) else row[c]) for c in columns))
    out_console.print(table)

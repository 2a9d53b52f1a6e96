"""``vrsim sessions``: sessions with simulated users as data for others."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from vrsim.cli.app import app, out_console, read_settings

__all__ = ["sessions_export"]

sessions_app = typer.Typer(help="Sessions with simulated users, for others to learn from.", no_args_is_help=True)
app.add_typer(sessions_app, name="sessions")


@sessions_app.command("export")
def sessions_export(
    dataset: Annotated[str, typer.Argument(help="Name of the Minari data set: NAMESPACE/NAME-v0.")],
    policy: Annotated[str, typer.Option(help="Recommender agent with options; see `vrsim policies`.")] = "greedy",
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    user: Annotated[str, typer.Option(help="User agent with options; see `vrsim agents`.")] = "content",
    protocol: Annotated[str, typer.Option(help="Whose training users it learns from.")] = "uniform",
    turns: Annotated[int, typer.Option(help="Turns of the longest session.")] = 20,
    sessions: Annotated[int, typer.Option(help="How many, 0 = one with every test user.")] = 0,
    seed: Annotated[int, typer.Option(help="Of users, policy and sessions.")] = 0,
    option: Annotated[list[str], typer.Option(help="NAME=VALUE; repeat: slate, candidates, boredom and so on.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Folder of data sets. Default: where Minari keeps them.")] = None,
) -> None:
    """Play sessions and write them as a Minari data set, for offline learning.

    Example: vrsim sessions export vrsim/ml-100k/greedy-v0 --policy greedy --sessions 100
    """
    from vrsim.progress import progress_bar
    from vrsim.session.minari import export_minari

    with progress_bar("sessions") as progress:
        folder = export_minari(
            dataset, policy, world, user, protocol, read_settings(option), turns, sessions, seed, out, progress
        )
    out_console.print(f"written: {escape(str(folder))}", soft_wrap=True)

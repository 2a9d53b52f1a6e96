"""``vrsim pocket``: the language model that is trained here."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, out_console, read_settings
from vrsim.naming import check_options

__all__ = ["pocket_build"]

pocket_app = typer.Typer(help="The language model that needs no download.", no_args_is_help=True)
app.add_typer(pocket_app, name="pocket")


@pocket_app.callback()
def _group() -> None:
    """The language model that needs no download."""


@pocket_app.command("build")
def pocket_build(
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    option: Annotated[list[str], typer.Option(help="hidden=128, layers=5, steps=0 or seed=0; repeat.")] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(help="Folder for --agent us-agent:model=pocket:FOLDER. Default: the cache.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a model that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Train a small Qwen2 on histories and on what the world's recommender thinks of them: which title comes next.

    Agents with model=pocket find it in the cache, and build it themselves where it is missing.

    Examples:

      vrsim pocket build --world ml-100k

      vrsim bench --agent us-agent --protocol uniform --m 3
    """
    from vrsim.models.pocket import build_pocket, pocket_folder
    from vrsim.models.pocket_training import PocketConfig
    from vrsim.progress import progress_bar

    given = read_settings(option)
    check_options("the pocket model", PocketConfig, given)
    config = PocketConfig(**given)
    loaded = vrsim.World.load(world)
    with progress_bar("pocket") as progress:
        card = build_pocket(loaded, config, out, progress, force)
    folder = out or pocket_folder(loaded, config)
    if as_json:
        print(json.dumps({"folder": str(folder), **card}, indent=1))
        return
    out_console.print(
        f"{escape(str(folder))}\n{card['parameters']:,} parameters, {card['vocabulary']:,} tokens, "
        f"{card['steps']:,} steps, next-title loss {card['validation_loss']} on the users' last known titles",
        soft_wrap=True,
        highlight=False,
    )

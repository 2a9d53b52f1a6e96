"""``vrsim protocols`` and ``vrsim episodes``: the recipes, and what they make."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, out_console, print_rows
from vrsim.protocols import SPLITS, WORDS, get_protocol, list_protocols

__all__ = ["episodes_export", "episodes_show", "protocols", "protocols_show"]

protocols_app = typer.Typer(invoke_without_command=True)
episodes_app = typer.Typer(help="Write episodes into one file, and read them back.", no_args_is_help=True)
app.add_typer(protocols_app, name="protocols")
app.add_typer(episodes_app, name="episodes")


@protocols_app.callback()
def protocols(context: typer.Context, as_json: Json = False) -> None:
    """List the protocols. Examples: vrsim protocols; vrsim protocols show rank-matched"""
    if context.invoked_subcommand is None:
        rows = [
            {"name": protocol.name, "tasks": list(protocol.tasks), "measures": protocol.measures}
            for protocol in list_protocols()
        ]
        print_rows(rows, ("name", "tasks", "measures"), as_json)


@protocols_app.command("show")
def protocols_show(name: Annotated[str, typer.Argument(help="Name of the protocol.")], as_json: Json = False) -> None:
    """Show a protocol's card beside the numbers published for it. Example: vrsim protocols show vragent-paper"""
    from vrsim.published import published
    from vrsim.tables import published_tables

    protocol = get_protocol(name)
    rows = published(name)
    recipe = {key: value for key, value in asdict(protocol).items() if key not in (*WORDS, "name")}
    if as_json:
        found = [asdict(row) | {"base_rate": row.base_rate} for row in rows]
        print(json.dumps({**asdict(protocol), "hash": protocol.hash, "published": found}, indent=1))
        return
    lines: dict[str, Any] = {
        "protocol": f"{name}, version {protocol.version}",
        "hash": protocol.hash,
        "measures": protocol.measures,
        "cannot say": protocol.cannot,
        "source": protocol.source,
        **{f"differs ({i})": text for i, text in enumerate(protocol.differs, 1)},
        "recipe": ", ".join(f"{key}={value}" for key, value in recipe.items()),
    }
    for key, value in lines.items():
        out_console.print(f"{key:12} {escape(str(value))}", soft_wrap=True, highlight=False)
    for table in published_tables(rows):
        out_console.print(table, highlight=False)


@episodes_app.command("export")
def episodes_export(
    out: Annotated[Path, typer.Argument(help="File that ends in .jsonl or .parquet, or a new folder.")],
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    protocol: Annotated[str, typer.Option(help="Protocol.")] = "vragent-paper",
    task: Annotated[
        str | None, typer.Option(help="judgment or selection. Default: selection; in a folder those of the protocol.")
    ] = None,
    m: Annotated[int, typer.Option("--m", help="Wrong items per selection slate.")] = 3,
    split: Annotated[str | None, typer.Option(help="Users: test or train. Default: test; in a folder both.")] = None,
    cohort: Annotated[str, typer.Option(help="Users: all, cold or warm.")] = "all",
    seed: Annotated[int, typer.Option(help="Seed of the wrong items and of the order.")] = 0,
    users: Annotated[int, typer.Option(help="At most this many users, 0 = all.")] = 0,
) -> None:
    """Write the questions of a protocol, with answers, into one file, or into a folder with titles and a card.

    The folder is a data set of the Hugging Face library: load_dataset(FOLDER, "selection").

    Examples:

      vrsim episodes export questions.jsonl --protocol rank-matched --m 4

      vrsim episodes export ml-1m-questions --world ml-1m --protocol rank-matched
    """
    from vrsim.episode_files import save_episodes
    from vrsim.episode_folder import file_of, save_folder
    from vrsim.episodes import make_episodes

    whole = not out.suffix
    tasks = [task] if task else get_protocol(protocol).tasks if whole else ["selection"]
    splits = [split] if split else SPLITS if whole else ["test"]
    loaded = vrsim.World.load(world)
    parts = [make_episodes(loaded, protocol, task, m, split, cohort, seed, users) for task in tasks for split in splits]
    if whole:
        save_folder(parts, out)
    else:
        save_episodes(parts[0], out)
    for part in parts:
        _print_episodes(out / file_of(part) if whole else out, part)


@episodes_app.command("show")
def episodes_show(
    path: Annotated[Path, typer.Argument(help="File made by vrsim episodes export.")],
    world: Annotated[str | None, typer.Option(help="Name or folder of its world. Default: the name in it.")] = None,
) -> None:
    """Check a file of episodes and say what it holds. Example: vrsim episodes show questions.jsonl"""
    from vrsim.episode_files import read_episodes

    _print_episodes(path, read_episodes(path, vrsim.World.load(world) if world else None))


def _print_episodes(path: Path, episodes: "vrsim.Episodes") -> None:
    lines = {
        "file": path,
        "world": f"{episodes.world.name} {episodes.world.hash}",
        "protocol": f"{episodes.protocol.name} {episodes.protocol.hash}",
        "questions": f"{len(episodes)} {episodes.task}s, m = {episodes.m}, {episodes.split} split, "
        f"{episodes.cohort} users, seed {episodes.seed}; {episodes.left_out} positions left out",
        "hash": episodes.hash,
    }
    for key, value in lines.items():
        out_console.print(f"{key:12} {escape(str(value))}", soft_wrap=True, highlight=False)

"""``vrsim world``: build, inspect, list and publish worlds."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import vrsim
from vrsim.cli.app import Json, app, out_console
from vrsim.errors import OptionError

__all__ = ["world_build", "world_info", "world_list", "world_publish", "world_rebuild"]

world_app = typer.Typer(help="Build, inspect, list and publish worlds.", no_args_is_help=True)
app.add_typer(world_app, name="world")


@world_app.command("build")
def world_build(
    name: Annotated[str | None, typer.Argument(help="A built-in world, with options: ml-100k:recommender=EASE")] = None,
    interactions: Annotated[Path | None, typer.Option(help="Your table: user, item, time[, rating, comment].")] = None,
    items: Annotated[Path | None, typer.Option(help="Your items: item, title[, year, genres, caption].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new world (with --interactions).")] = None,
    ranked: Annotated[Path | None, typer.Option(help="Your recommender's candidates: user, item, rank.")] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Captions in place of the data's own: item_id, caption (vrsim caption).")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE: recommender, holdout, candidates, or a RecBole setting; repeat."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a world that exists.")] = False,
) -> None:
    """Build a world and keep it.

    Examples:

      vrsim world build ml-100k

      vrsim world build microlens-50k --captions captions.parquet

      vrsim world build --interactions log.csv --items items.csv --out my-world --option recommender=transitions
    """
    from vrsim import building, worlds
    from vrsim.data import read_data
    from vrsim.item_tables import with_captions
    from vrsim.naming import parse_value
    from vrsim.progress import progress_bar

    if (name is None) == (interactions is None):
        raise OptionError("expected either the name of a built-in world or --interactions with a table of your own")
    if name is not None:
        for flag, value in {"--items": items, "--out": out, "--ranked": ranked, "--option": option}.items():
            if value:
                raise OptionError(f"{flag} goes with --interactions; options of a built-in world stand in its name")
        built = worlds.build_named(name, force, captions=captions)
    else:
        if out is None:
            raise OptionError("--interactions needs --out, the folder of the new world")
        options = {}
        for text in option or []:
            key, equals, value = text.partition("=")
            if not equals or not key:
                raise OptionError(f"expected --option KEY=VALUE, found {text!r}")
            options[key] = parse_value(value)
        if out.name in worlds.BUILT_IN and str(out) == out.name:
            raise OptionError(f"{out} is the name of a built-in world; choose another folder")
        if ranked is not None and {*options} - {"holdout"}:
            raise OptionError("--ranked brings its own recommender: of the options only holdout goes with it")
        config = building.make_config("SASRec", options)
        data = read_data(interactions, items, config.shortest)
        data = data if captions is None else with_captions(data, captions)
        with progress_bar(f"building {out}") as progress:
            built = building.build(out, data, config, recommender=ranked, progress=progress, force=force)
    _print_world(built)


@world_app.command("info")
def world_info(name: Annotated[str, typer.Argument(help="Name or folder.")], as_json: Json = False) -> None:
    """Show what a world holds. Example: vrsim world info ml-100k"""
    world = vrsim.World.load(name)
    if as_json:
        print(json.dumps({"path": str(world.path) if world.path else None, **world.manifest}, indent=1))
    else:
        _print_world(world)


@world_app.command("list")
def world_list(as_json: Json = False) -> None:
    """List the built-in worlds and those in the cache folder. Example: vrsim world list --json"""
    from vrsim import worlds

    found = worlds.listing()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    table = Table("world", "state", "what it is")
    for row in found:
        table.add_row(escape(row["name"]), row["state"], escape(row["about"]))
    out_console.print(table)
    out_console.print(f"cache folder: {escape(str(worlds.home()))}", soft_wrap=True)


@world_app.command("publish")
def world_publish(
    name: Annotated[str, typer.Argument(help="Name or folder of the world.")],
    folder: Annotated[Path, typer.Argument(help="New folder.")],
    licence: Annotated[
        str, typer.Option("--license", help="The terms for what the folder holds: cc-by-4.0, mit, other, ...")
    ],
    without_data: Annotated[
        bool, typer.Option(help="Of a built-in world: what others need to make the same world of their own data.")
    ] = False,
) -> None:
    """Write a world and a card into a folder for others, as the Hugging Face hub shows it.

    Data that may not be passed on are refused; --without-data publishes rankings, weights and the hash, and
    `vrsim world rebuild` makes the same world of them and a copy of the data.

    Examples:

      vrsim world publish my-world published --license cc-by-4.0

      vrsim world publish ml-1m published --without-data --license cc-by-4.0
    """
    from vrsim.publishing import CARD, publish_world

    world = vrsim.World.load(name)
    publish_world(world, folder, licence, data=not without_data)
    for key, value in {"folder": folder, "card": folder / CARD, "hash": world.hash}.items():
        out_console.print(f"{key:12} {escape(str(value))}", soft_wrap=True, highlight=False)


@world_app.command("rebuild")
def world_rebuild(
    folder: Annotated[Path, typer.Argument(help="A folder published without its data.")],
    out: Annotated[Path, typer.Argument(help="New folder of the world.")],
) -> None:
    """Make a published world of your own copy of its data, and check that it is the same.

    Example: vrsim world rebuild published my-ml-1m
    """
    from vrsim.publishing import rebuild_world

    _print_world(rebuild_world(folder, out))


def _print_world(world: "vrsim.World") -> None:
    manifest = world.manifest
    counts = ", ".join(f"{n:,} {what}" for what, n in manifest["counts"].items())
    lines = {"world": world.name, "folder": str(world.path or "in memory"), "holds": counts}
    if skipped := {k: v for k, v in manifest["skipped"].items() if v}:
        lines["skipped"] = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in skipped.items())
    about = manifest["recommender"]
    config = manifest["config"]
    lines["recommender"] = f"{config['recommender']} ({about['kind']})" if about["kind"] != "candidates" else "your own"
    if "test" in about:
        lines["test item"] = _metrics(about["test"]) + " (RecBole, full ranking without the history)"
        if "test_with_history" in about:
            lines["as RecBole"] = _metrics(about["test_with_history"]) + " (its default: the history competes)"
        lines["trained"] = f"{about['epochs']} epochs, best {about['best_epoch']}, {about['seconds']:.0f} s"
    for feature, of in about.get("features", {}).items():
        without = f", {of['items_without']:,} items without" if of["items_without"] else ""
        lines[f"reads {feature}"] = f"{of['dimensions']} dimensions{without}"
    lines["unseen"] = f"target among the first 10 unseen items: {world.hits(10):.4f}"
    lines["holdout"] = f"{config['holdout']} per user, {world.candidates.shape[1]} ranked candidates each"
    lines["hash"] = world.hash
    for key, value in lines.items():
        out_console.print(f"{key:12} {escape(value)}", soft_wrap=True)


def _metrics(values: dict[str, float]) -> str:
    return ", ".join(
        f"{name.replace('hit', 'HR').replace('ndcg', 'NDCG')} {value:.4f}" for name, value in values.items()
    )

"""The command line: ``vrsim bench``, ``vrsim world``, ``vrsim agents``, ``vrsim envs``, ``vrsim doctor``.

Exit codes: 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted.
"""

import importlib.util
import inspect
import json
import platform
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import vrsim
from vrsim.errors import OptionError, VrsimError

__all__ = ["app", "main"]

app = typer.Typer(
    help="vrsim: a gym for simulated users of recommender systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
world_app = typer.Typer(help="Build, inspect and list worlds.", no_args_is_help=True)
app.add_typer(world_app, name="world")

out_console, err_console = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables.")]


def main() -> None:
    """Run the command line; known errors become one message and an exit code."""
    try:
        app()
    except VrsimError as error:
        err_console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if show:
        print(vrsim.__version__)
        raise typer.Exit


@app.command()
def bench(
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    agent: Annotated[
        list[str] | None, typer.Option(help="Agent with options; repeat. Default: every baseline.")
    ] = None,
    protocol: Annotated[list[str], typer.Option(help="Protocol; repeat.")] = ["vragent-paper"],  # noqa: B006
    task: Annotated[list[str], typer.Option(help="Task; repeat.")] = ["judgment", "selection"],  # noqa: B006
    m: Annotated[list[int], typer.Option("--m", help="Negatives per selection slate; repeat.")] = [1, 3, 4],  # noqa: B006
    cohort: Annotated[str, typer.Option(help="Test users: all, cold or warm.")] = "all",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Run folder; an unfinished run goes on. Default: runs/TIME.")] = None,
    as_json: Json = False,
) -> None:
    """Compare agents on the judgment and the selection task.

    Examples:

      vrsim bench

      vrsim bench --agent uniform --agent recommender:model=EASE --protocol uniform --m 3

      vrsim bench --world my-world --out runs/mine
    """
    from vrsim.bench import BenchConfig, run_bench
    from vrsim.bench import as_json as plain
    from vrsim.progress import progress_bar
    from vrsim.registry import baselines
    from vrsim.tables import result_tables

    agents = tuple(agent or baselines())
    config = BenchConfig(world, agents, tuple(protocol), tuple(task), tuple(m), cohort, seeds)
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    try:
        vrsim.World.load(world)  # building it has a bar of its own
        with progress_bar("bench") as progress:
            rows = run_bench(config, folder, progress)
    except KeyboardInterrupt:
        if (folder / "manifest.json").exists():
            again = "" if out else f" --out {folder}"
            err_console.print(f"\nstopped; the same command{again and ' with' + again} goes on where it stopped")
        raise
    if as_json:
        print(json.dumps({"world": world, "out": str(folder), "rows": plain(rows)}, indent=1))
        return
    for table in result_tables(rows, world):
        out_console.print(table, soft_wrap=True, highlight=False)
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)


@world_app.command("build")
def world_build(
    name: Annotated[str | None, typer.Argument(help="A built-in world, with options: ml-100k:recommender=EASE")] = None,
    interactions: Annotated[Path | None, typer.Option(help="Your table: user, item, time[, rating, comment].")] = None,
    items: Annotated[Path | None, typer.Option(help="Your items: item, title[, year, genres, caption].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new world (with --interactions).")] = None,
    ranked: Annotated[Path | None, typer.Option(help="Your recommender's candidates: user, item, rank.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE: recommender, holdout, candidates, or a RecBole setting; repeat."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a world that exists.")] = False,
) -> None:
    """Build a world and keep it.

    Examples:

      vrsim world build ml-100k

      vrsim world build --interactions log.csv --items items.csv --out my-world --option recommender=transitions
    """
    from vrsim import building, worlds
    from vrsim.data import read_data
    from vrsim.naming import parse_value
    from vrsim.progress import progress_bar

    if (name is None) == (interactions is None):
        raise OptionError("expected either the name of a built-in world or --interactions with a table of your own")
    if name is not None:
        for flag, value in {"--items": items, "--out": out, "--ranked": ranked, "--option": option}.items():
            if value:
                raise OptionError(f"{flag} goes with --interactions; options of a built-in world stand in its name")
        built = worlds.build_named(name, force)
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


@app.command()
def agents(as_json: Json = False) -> None:
    """List the agents that --agent knows. Example: vrsim agents"""
    from vrsim.registry import agent_class, list_agents

    rows = []
    for name, target in sorted(list_agents().items()):
        try:
            cls = agent_class(name)
        except VrsimError as error:  # a broken plug-in is named, the others are listed all the same
            rows.append({"name": name, "about": str(error), "options": [], "class": target})
            continue
        options = [str(p) for p in inspect.signature(cls).parameters.values()]
        about = (cls.__doc__ or "").strip().split("\n")[0]
        rows.append({"name": name, "about": about, "options": options, "class": target})
    _print_rows(rows, ("name", "about", "options"), as_json)


@app.command()
def envs(as_json: Json = False) -> None:
    """List the environments that gym.make knows. Example: vrsim envs"""
    import gymnasium as gym

    rows = []
    for spec in gym.registry.values():
        if spec.id.startswith("vrsim/"):
            cls = gym.envs.registration.load_env_creator(spec.entry_point)
            options = [str(p) for p in inspect.signature(cls).parameters.values()]
            about = (cls.__doc__ or "").strip().split("\n")[0]
            rows.append({"name": spec.id, "about": about, "options": options, "class": spec.entry_point})
    _print_rows(rows, ("name", "about", "options"), as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing, and what that switches off. Example: vrsim doctor"""
    from vrsim.building import versions
    from vrsim.worlds import home

    needs = {
        "recbole": (("torch", "recbole", "kmeans_pytorch", "pandas", "safetensors"),
                    "world ml-100k, trained recommenders, agent recommender:model=..."),
    }  # fmt: skip
    extras = []
    for extra, (modules, use) in needs.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        state = "installed" if not missing else f"missing {', '.join(missing)}"
        extras.append(
            {"extra": extra, "state": state, "for": use, "install": f"pip install -e '.[{extra}]' in a checkout"}
        )
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cache": str(home()),
        "versions": versions(),
        "extras": extras,
    }
    if importlib.util.find_spec("torch"):
        try:
            import torch
        except (ImportError, OSError, RuntimeError) as error:
            facts["gpu"] = f"unknown: torch is installed and cannot be imported: {error}"
        else:
            facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the CPU is used"
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    for key in ("python", "system", "gpu", "cache"):
        if key in facts:
            out_console.print(f"{key:8} {escape(facts[key])}", soft_wrap=True)
    out_console.print("versions " + ", ".join(f"{n} {v}" for n, v in facts["versions"].items()), soft_wrap=True)
    for row in extras:
        good = row["state"] == "installed"
        out_console.print(f"\\[{row['extra']}] {row['state']}: {row['for']}", soft_wrap=True)
        if not good:
            out_console.print(f"          switched off until: {escape(row['install'])}", soft_wrap=True)


def _print_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape("\n".join(row[c]) if isinstance(row[c], list) else row[c]) for c in columns))
    out_console.print(table)


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
    lines["unseen"] = f"target among the first 10 unseen items: {world.hits(10):.4f}"
    lines["holdout"] = f"{config['holdout']} per user, {world.candidates.shape[1]} ranked candidates each"
    lines["hash"] = world.hash
    for key, value in lines.items():
        out_console.print(f"{key:12} {escape(value)}", soft_wrap=True)


def _metrics(values: dict[str, float]) -> str:
    return ", ".join(
        f"{name.replace('hit', 'HR').replace('ndcg', 'NDCG')} {value:.4f}" for name, value in values.items()
    )

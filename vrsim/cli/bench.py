"""``vrsim bench``: compare agents, or train and compare the rows of a published table."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, err_console, out_console, read_settings
from vrsim.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from vrsim.bench import BenchConfig, Budget
    from vrsim.us_ablation import AblationConfig

__all__ = ["bench"]

WORLD, PROTOCOL = "ml-100k", "vragent-paper"  # unless others are named


@app.command()
def bench(
    world: Annotated[str | None, typer.Option(help=f"Name or folder of the world. Default: {WORLD}.")] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="Agent with options; repeat. Default: every baseline.")
    ] = None,
    protocol: Annotated[list[str] | None, typer.Option(help=f"Protocol; repeat. Default: {PROTOCOL}.")] = None,
    task: Annotated[list[str], typer.Option(help="Task; repeat.")] = ["judgment", "selection"],  # noqa: B006
    m: Annotated[list[int], typer.Option("--m", help="Negatives per selection slate; repeat.")] = [1, 3, 4],  # noqa: B006
    cohort: Annotated[str, typer.Option(help="Test users: all, cold or warm.")] = "all",
    users: Annotated[int, typer.Option(help="At most this many test users, 0 = all.")] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    episodes: Annotated[
        list[Path] | None, typer.Option(help="A file of questions, which replaces protocol, task and so on; repeat.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Dollars that models may cost; a larger one goes on.")] = None,
    token_budget: Annotated[int | None, typer.Option(help="Tokens that models may read and write.")] = None,
    suite: Annotated[str | None, typer.Option(help="us-ablation or simulators: the rows of a published table.")] = None,
    model: Annotated[str | None, typer.Option(help="Of a suite: the model of every row.")] = None,
    preset: Annotated[str | None, typer.Option(help="Of us-ablation: see `vrsim train presets`.")] = None,
    option: Annotated[
        list[str],
        typer.Option(help="Of us-ablation: a setting of GRPO, NAME=VALUE, or of SFT, sft.NAME=VALUE; repeat."),
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Run folder; an unfinished run goes on. Default: runs/TIME.")] = None,
    as_json: Json = False,
) -> None:
    """Compare agents on the judgment and the selection task.

    A suite names its agents itself. us-ablation trains the US Agent with and without its parts, and asks all of them;
    world and protocol are the preset's unless given, and --seeds counts trainings too. simulators asks one model in
    every way.

    Examples:

      vrsim bench

      vrsim bench --agent uniform --agent recommender:model=EASE --protocol uniform --m 3

      vrsim bench --world my-world --out runs/mine

      vrsim bench --world ml-1m --episodes questions.jsonl

      vrsim bench --agent us-agent:model=openai:gpt-4o-mini --users 100 --budget 2

      vrsim bench --suite us-ablation --out runs/ablation

      vrsim bench --suite simulators --model openai:gpt-4o-mini --users 100 --budget 2
    """
    from vrsim.bench import BenchConfig, Budget

    _refuse(suite, {"agent": agent, "episodes": episodes, "model": model, "preset": preset, "option": option})
    limits = Budget(budget, token_budget)
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    asked = tuple(task), tuple(m), cohort, users, seeds
    if suite == "us-ablation":
        from vrsim.us_ablation import AblationConfig

        own = {"world": world, "protocol": _one(protocol), "model": model}
        config = AblationConfig(preset or "pocket", read_settings(option, **own), *asked)
        _ablation(config, folder, limits, out is None, as_json)
        return
    from vrsim.registry import baselines

    world, protocols, left_out = world or WORLD, tuple(protocol or [PROTOCOL]), {}
    agents, files = tuple(agent or baselines()), tuple(map(str, episodes or ()))
    if suite:
        agents, left_out = _simulators(model, BenchConfig(world, ("us-agent",), protocols, *asked, files))
    _bench(BenchConfig(world, agents, protocols, *asked, files), folder, limits, out is None, as_json, suite, left_out)


def _bench(
    config: "BenchConfig",
    folder: Path,
    limits: "Budget",
    unnamed: bool,
    as_json: bool,
    suite: str | None,
    left_out: dict[str, str],
) -> None:
    """Play a benchmark and print it; of a suite with the published numbers below."""
    from vrsim.bench import as_json as plain
    from vrsim.bench import run_bench
    from vrsim.models.ledger import Ledger
    from vrsim.progress import progress_bar, silent
    from vrsim.records import COSTS
    from vrsim.registry import make_agent
    from vrsim.suites import landmarks
    from vrsim.tables import costs_table, published_tables, result_tables

    with _going_on(folder, "manifest.json", unnamed):
        vrsim.World.load(config.world)  # building it has a bar of its own
        asks = any(make_agent(name).interactive for name in config.agents)
        with nullcontext(silent) if asks else progress_bar("bench") as progress:  # a bar would write over the questions
            rows = run_bench(config, folder, progress, limits)
    beside = landmarks(list(dict.fromkeys(row.protocol for row in rows)), config.world) if suite else []
    if as_json:
        costs = [
            {"agent": name, "model": model, **asdict(used)}
            for (name, model), used in Ledger(folder / COSTS).usage.items()
        ]
        told: dict[str, Any] = {"world": config.world, "out": str(folder), "rows": plain(rows), "costs": costs}
        if suite:
            told |= {"suite": suite, "left_out": left_out, "published": [asdict(row) for row in beside]}
        print(json.dumps(told, indent=1))
        return
    _print(result_tables(rows, config.world))
    if usage := Ledger(folder / COSTS).usage:
        _print([costs_table(usage)])
    _print_left_out(left_out)
    _print(published_tables(beside))
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)


def _ablation(config: "AblationConfig", folder: Path, limits: "Budget", unnamed: bool, as_json: bool) -> None:
    """Train, ask and compare the variants of the US Agent, and print them."""
    from vrsim.progress import progress_bar
    from vrsim.published import ABLATION
    from vrsim.tables import ablation_tables, published_tables
    from vrsim.us_ablation import ablation_json, run_ablation

    with _going_on(folder, "training", unnamed):
        vrsim.World.load(config.grpo().world)  # building it has a bar of its own
        with progress_bar("us-ablation") as progress:
            result = run_ablation(config, folder, progress, limits)
    if as_json:
        print(json.dumps({"out": str(folder), **ablation_json(result)}, indent=1))
        return
    _print(ablation_tables(result.compared, result.world, result.seeds))
    _print_left_out(result.left_out)
    for note in result.notes:
        out_console.print(escape(note), soft_wrap=True, highlight=False)
    _print(published_tables([row for row in ABLATION if result.protocol in row.protocols]))
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)


def _refuse(suite: str | None, given: dict[str, Any]) -> None:
    """Raise OptionError for options that do not go together."""
    from vrsim.suites import SUITES

    given = {name: value for name, value in given.items() if value}
    if suite is None:
        for name in given.keys() & {"preset", "option"}:
            raise OptionError(f"--{name} belongs to --suite us-ablation")
        if "model" in given:
            raise OptionError("--model belongs to --suite; name the model of an agent in --agent us-agent:model=NAME")
        return
    if suite not in SUITES:
        raise UnknownNameError("suite", suite, SUITES)
    if "agent" in given:
        raise OptionError("--suite names its agents itself; leave --agent out, or --suite")
    wrong = {"us-ablation": {"episodes"}, "simulators": {"preset", "option"}}[suite]
    for name in given.keys() & wrong:
        raise OptionError(f"--{name} does not go with --suite {suite}")
    if suite == "simulators" and "model" not in given:
        raise OptionError("--suite simulators needs --model: the one that every simulator asks, as openai:gpt-4o-mini")


def _one(protocol: list[str] | None) -> str | None:
    if protocol and len(protocol) > 1:
        raise OptionError(f"--suite us-ablation trains for one protocol, found {', '.join(protocol)}")
    return protocol[0] if protocol else None


def _simulators(model: str, config: "BenchConfig") -> tuple[tuple[str, ...], dict[str, str]]:
    from vrsim.questions import questions_of
    from vrsim.suites import simulator_agents

    questions = [
        question
        for protocol in config.protocols
        for question in questions_of(protocol, config.tasks, config.m, config.cohort)
    ]
    if not questions:
        raise OptionError(f"{', '.join(config.protocols)} asks no {' and no '.join(config.tasks)}")
    return simulator_agents(model, vrsim.World.load(config.world), questions[0])


@contextmanager
def _going_on(folder: Path, begun: str, unnamed: bool) -> Iterator[None]:
    """Say how to go on if the block is interrupted after it has ``begun``: the file that says so."""
    try:
        yield
    except KeyboardInterrupt:
        if (folder / begun).exists():
            again = f" with --out {folder}" if unnamed else ""
            err_console.print(f"\nstopped; the same command{again} goes on where it stopped")
        raise


def _print(tables: list[Any]) -> None:
    for table in tables:
        out_console.print(table, soft_wrap=True, highlight=False)


def _print_left_out(left_out: dict[str, str]) -> None:
    for name, reason in left_out.items():
        out_console.print(f"left out: {escape(name)}: {escape(reason)}", soft_wrap=True, highlight=False)

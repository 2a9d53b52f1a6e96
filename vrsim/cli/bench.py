"""``vrsim bench``: compare agents, or make the rows of a published table."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, out_console, read_settings
from vrsim.cli.session_bench import refuse_for_session, session_bench
from vrsim.cli.suites import (
    ablation,
    going_on,
    one_protocol,
    print_left_out,
    print_tables,
    ranking,
    read_captions,
    refuse,
    simulators,
)

if TYPE_CHECKING:
    from vrsim.bench import BenchConfig, Budget

__all__ = ["bench"]

WORLD, PROTOCOL = "ml-100k", "vragent-paper"  # unless others are named
TASKS, SIZES, COHORT = ["judgment", "selection"], [1, 3, 4], "all"


@app.command()
def bench(
    env: Annotated[
        str, typer.Option(help="decision: agents are users. session: agents are recommenders, a user answers.")
    ] = "decision",
    world: Annotated[str | None, typer.Option(help=f"Name or folder of the world. Default: {WORLD}.")] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(help="Agent with options; repeat. Default: every baseline; of sessions: every policy."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Of sessions: the user agent. Default: content.")] = None,
    turns: Annotated[int | None, typer.Option(help="Of sessions: the longest. Default: 20.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help=f"Protocol; repeat. Default: {PROTOCOL}.")] = None,
    task: Annotated[list[str], typer.Option(help="Task; repeat.")] = TASKS,
    m: Annotated[list[int], typer.Option("--m", help="Negatives per selection slate; repeat.")] = SIZES,
    cohort: Annotated[str, typer.Option(help="Test users: all, cold or warm.")] = COHORT,
    users: Annotated[int, typer.Option(help="At most this many test users, 0 = all.")] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    episodes: Annotated[
        list[Path] | None, typer.Option(help="A file of questions, which replaces protocol, task and so on; repeat.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Dollars that models may cost; a larger one goes on.")] = None,
    token_budget: Annotated[int | None, typer.Option(help="Tokens that models may read and write.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="us-ablation, simulators, recommenders or ip-ablation: the rows of a published table."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Of a suite of agents: the model of every row.")] = None,
    preset: Annotated[str | None, typer.Option(help="Of us-ablation: see `vrsim train presets`.")] = None,
    option: Annotated[
        list[str],
        typer.Option(
            help="NAME=VALUE; repeat. Of sessions: slate, candidates, boredom and so on. Of us-ablation: a setting of "
            "GRPO, or, as sft.NAME, of SFT. Of recommenders and "
            "ip-ablation: a setting of every model that has it, or, as MODEL.NAME, of one."
        ),
    ] = [],  # noqa: B006
    captions: Annotated[
        list[str],
        typer.Option(
            help="A table of captions (vrsim caption), or NAME=FILE; repeat. Of recommenders: ip, mllm-msr. Of "
            "ip-ablation: full, no-kfr, uniform, cover, no-cmp, no-rra."
        ),
    ] = [],  # noqa: B006
    vectors: Annotated[
        Path | None,
        typer.Option(help="Of recommenders: a table of vectors of covers and videos: item_id, image, video."),
    ] = None,
    row: Annotated[list[str], typer.Option(help="Of recommenders and ip-ablation: this row alone; repeat.")] = [],  # noqa: B006
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster to play on; local = one of here.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; an unfinished run goes on. Default: runs/TIME.")] = None,
    as_json: Json = False,
) -> None:
    """Compare agents on the judgment and the selection task.

    A suite names its agents itself. us-ablation trains the US Agent with and without its parts, and asks all of them;
    world and protocol are the preset's unless given, and --seeds counts trainings too. simulators asks one model in
    every way. recommenders trains the recommenders of the published table, as far as captions and vectors are given,
    and ip-ablation one recommender with captions of each variant: all rank the last item of every user.

    Examples:

      vrsim bench

      vrsim bench --agent uniform --agent recommender:model=EASE --protocol uniform --m 3

      vrsim bench --world my-world --out runs/mine

      vrsim bench --world ml-1m --episodes questions.jsonl

      vrsim bench --agent us-agent:model=openai:gpt-4o-mini --users 100 --budget 2

      vrsim bench --world ml-1m --ray local

      vrsim bench --env session --user content --agent greedy --agent random

      vrsim bench --suite us-ablation --out runs/ablation

      vrsim bench --suite simulators --model openai:gpt-4o-mini --users 100 --budget 2

      vrsim bench --suite recommenders --world microlens-50k --captions captions.parquet --option preset=microlens

      vrsim bench --suite ip-ablation --world microlens-50k --captions full=captions.parquet --captions no-kfr=b.parquet
    """
    from vrsim.bench import BenchConfig, Budget

    given = {"agent": agent, "episodes": episodes, "model": model, "preset": preset, "option": option}
    given |= {"captions": captions, "vectors": vectors, "row": row, "ray": ray}
    asks = {"protocol": protocol, "budget": budget is not None, "token-budget": token_budget is not None}
    asks |= {"task": task != TASKS, "m": m != SIZES, "cohort": cohort != COHORT}
    limits, cluster = Budget(budget, token_budget), "" if ray == "local" else ray
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    others = {name: value for name, value in given.items() if name not in ("agent", "option", "ray")}
    others |= {name: value for name, value in asks.items() if name not in ("protocol", "budget", "token-budget")}
    if refuse_for_session(env, others | {"suite": suite}, {"user": user, "turns": turns is not None}):
        from vrsim.session.bench import SessionBenchConfig

        own = {"world": world, "policies": tuple(agent or ()), "user": user, "turns": turns}
        own |= {"protocol": one_protocol(protocol), "options": read_settings(option)}
        chosen = {name: value for name, value in own.items() if value not in (None, ())}
        config = SessionBenchConfig(**chosen, users=users, seeds=seeds)
        session_bench(config, folder, limits, cluster, out is None, as_json)
        return
    refuse(suite, given, asks)
    asked = tuple(task), tuple(m), cohort, users, seeds
    if suite == "us-ablation":
        from vrsim.us_ablation import AblationConfig

        own = {"world": world, "protocol": one_protocol(protocol), "model": model}
        config = AblationConfig(preset or "pocket", read_settings(option, **own), *asked)
        ablation(config, folder, limits, out is None, as_json)
        return
    if suite in ("recommenders", "ip-ablation"):
        from vrsim.recommender_suite import RankingConfig

        tables = read_captions(suite, captions)
        settings = read_settings(option)
        config = RankingConfig(suite, world or WORLD, tables, vectors, settings, tuple(row), users, seeds)
        ranking(config, folder, out is None, as_json)
        return
    from vrsim.registry import baselines

    world, protocols, left_out = world or WORLD, tuple(protocol or [PROTOCOL]), {}
    agents, files = tuple(agent or baselines()), tuple(map(str, episodes or ()))
    if suite:
        agents, left_out = simulators(model, BenchConfig(world, ("us-agent",), protocols, *asked, files))
    config = BenchConfig(world, agents, protocols, *asked, files)
    _bench(config, folder, limits, cluster, out is None, as_json, suite, left_out)


def _bench(
    config: "BenchConfig",
    folder: Path,
    limits: "Budget",
    ray: str | None,
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

    with going_on(folder, "manifest.json", unnamed):
        vrsim.World.load(config.world)  # building it has a bar of its own
        asks = any(make_agent(name).interactive for name in config.agents)
        with nullcontext(silent) if asks else progress_bar("bench") as progress:  # a bar would write over the questions
            rows = run_bench(config, folder, progress, limits, ray)
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
    print_tables(result_tables(rows, config.world))
    if usage := Ledger(folder / COSTS).usage:
        print_tables([costs_table(usage)])
    print_left_out(left_out)
    print_tables(published_tables(beside))
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)

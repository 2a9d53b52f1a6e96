"""``vrsim fidelity``: which simulated user may be trusted to choose between recommenders."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, out_console, read_settings
from vrsim.cli.suites import going_on, print_left_out, print_tables
from vrsim.ranking_folder import ASKED

__all__ = ["fidelity"]


@app.command()
def fidelity(
    agent: Annotated[list[str], typer.Option(help="Simulated user with options; repeat.")],
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    protocol: Annotated[str, typer.Option(help="What they learn from; its test users are asked.")] = "uniform",
    users: Annotated[int, typer.Option(help="At most this many test users, 0 = all.")] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds of the simulated users, from 0 on.")] = 3,
    shown: Annotated[int, typer.Option(help="Items of a slate.")] = 10,
    model: Annotated[
        list[str] | None, typer.Option(help="A model of RecBole on the ladder; repeat. Default: the usual four.")
    ] = None,
    option: Annotated[
        list[str], typer.Option(help="NAME=VALUE of every model that has it, or MODEL.NAME=VALUE; repeat.")
    ] = [],  # noqa: B006
    budget: Annotated[float | None, typer.Option(help="Dollars that models may cost; a larger one goes on.")] = None,
    token_budget: Annotated[int | None, typer.Option(help="Tokens that models may read and write.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; an unfinished one goes on. Default: runs/TIME.")] = None,
    as_json: Json = False,
) -> None:
    """Say which simulated user orders recommenders as the users' real next items do.

    A ladder of recommenders, from an oracle through trained ones and damaged copies of the world's own down to chance,
    shows its first items to test users. Simulated users judge every item; shortcuts of the audit stand beside. See
    docs/fidelity.md.

    Examples:

      vrsim fidelity --agent content --agent learned

      vrsim fidelity --world ml-1m --agent us-agent --option BPR.epochs=20 --out runs/fidelity

      vrsim fidelity --agent us-agent:model=openai:gpt-4o-mini --users 50 --seeds 1 --budget 2
    """
    from vrsim.bench import Budget
    from vrsim.fidelity.ladder import MODELS
    from vrsim.fidelity.suite import FidelityConfig, fidelity_json, run_fidelity
    from vrsim.fidelity.tables import fidelity_tables
    from vrsim.models.ledger import Ledger
    from vrsim.progress import progress_bar
    from vrsim.records import COSTS
    from vrsim.tables import costs_table

    models = MODELS if model is None else tuple(model)
    config = FidelityConfig(tuple(agent), world, protocol, users, seeds, shown, models, read_settings(option))
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    with going_on(folder, ASKED, out is None):
        vrsim.World.load(world)  # building it has a bar of its own
        with progress_bar("fidelity") as progress:
            result = run_fidelity(config, folder, progress, Budget(budget, token_budget))
    usage = Ledger(folder / COSTS).usage
    if as_json:
        costs = [{"agent": name, "model": asked, **asdict(used)} for (name, asked), used in usage.items()]
        print(json.dumps({"out": str(folder), **fidelity_json(result), "costs": costs}, indent=1))
        return
    print_tables(fidelity_tables(result))
    print_left_out(result.left_out)
    if usage:
        print_tables([costs_table(usage)])
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)

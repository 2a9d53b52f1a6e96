"""``vrsim augment``: train a world's recommender again with what simulated users said, beside controls."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import vrsim
from vrsim.cli.app import Json, app, out_console, read_settings
from vrsim.cli.suites import going_on, print_tables
from vrsim.ranking_folder import ASKED

__all__ = ["augment"]


@app.command()
def augment(
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    agent: Annotated[str, typer.Option(help="The user agent, with options: any agent.")] = "learned",
    users: Annotated[
        str, typer.Option(help="Test users who are asked: cold:N (those with the fewest interactions), all:N or N.")
    ] = "cold:8000",
    protocol: Annotated[str, typer.Option(help="What the agent learns from, and who is a test user.")] = "uniform",
    shown: Annotated[int, typer.Option(help="Items of the recommender that each user is shown.")] = 10,
    likes: Annotated[
        int,
        typer.Option(help="How many are likes, the most probable ones; 0 = those that the agent says Yes to."),
    ] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds of the training, from 0 on.")] = 3,
    option: Annotated[
        list[str], typer.Option(help="NAME=VALUE of the training: epochs, learning_rate, warm=False; repeat.")
    ] = [],  # noqa: B006
    row: Annotated[list[str], typer.Option(help="This row alone beside `nothing added`; repeat.")] = [],  # noqa: B006
    budget: Annotated[float | None, typer.Option(help="Dollars that models may cost; a larger one goes on.")] = None,
    token_budget: Annotated[int | None, typer.Option(help="Tokens that models may read and write.")] = None,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster to train on; local = one of here.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; an unfinished one goes on. Default: runs/TIME.")] = None,
    as_json: Json = False,
) -> None:
    """Ask simulated users about the recommender's first items, and train it again with what they said.

    The rows: nothing added, likes, dislikes, likes and dislikes, and as many other items as there are likes: random,
    popular, first (the recommender's own) and random of shown. Every row is trained alike, from the weights that the
    recommender has, and ranks the real last item of every user.

    Examples:

      vrsim augment

      vrsim augment --world ml-1m --agent learned --protocol rank-matched --out runs/augment

      vrsim augment --world microlens-50k --likes 3

      vrsim augment --agent us-agent:model=openai:gpt-4o-mini --users cold:200 --budget 2

      vrsim augment --row likes --row "random of shown" --option epochs=4 --option learning_rate=0.001
    """
    from vrsim.augmentation.suite import AugmentConfig, augmentation_json, run_augmentation
    from vrsim.augmentation.tables import augmentation_tables
    from vrsim.bench import Budget
    from vrsim.models.ledger import Ledger
    from vrsim.progress import progress_bar, silent
    from vrsim.records import COSTS
    from vrsim.registry import make_agent
    from vrsim.tables import costs_table

    limits = Budget(budget, token_budget)
    config = AugmentConfig(world, agent, users, protocol, shown, likes, read_settings(option), tuple(row), seeds)
    asks = make_agent(agent).interactive  # a bar would write over the questions
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    with going_on(folder, ASKED, out is None):
        vrsim.World.load(world)  # building it has a bar of its own
        with nullcontext(silent) if asks else progress_bar("augment") as progress:
            result = run_augmentation(config, folder, progress, limits, "" if ray == "local" else ray)
    usage = Ledger(folder / COSTS).usage
    if as_json:
        costs = [{"agent": name, "model": asked, **asdict(used)} for (name, asked), used in usage.items()]
        print(json.dumps({"out": str(folder), **augmentation_json(result), "costs": costs}, indent=1))
        return
    print_tables(augmentation_tables(result))
    for note in result.notes:
        out_console.print(escape(note), soft_wrap=True, highlight=False)
    if usage:
        print_tables([costs_table(usage)])
    out_console.print(f"records: {escape(str(folder))}", soft_wrap=True)

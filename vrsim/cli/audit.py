"""``vrsim audit`` and ``vrsim report``: what a number is worth, and the page that shows it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import vrsim
from vrsim.cli.app import Json, app, out_console
from vrsim.errors import OptionError

__all__ = ["audit", "report"]


@app.command()
def audit(
    context: typer.Context,
    world: Annotated[str, typer.Option(help="Name or folder of the world.")] = "ml-100k",
    protocol: Annotated[
        list[str] | None, typer.Option(help="Protocol; repeat. Default: every one that the world can serve.")
    ] = None,
    task: Annotated[list[str], typer.Option(help="Task; repeat.")] = ["judgment", "selection"],  # noqa: B006
    m: Annotated[list[int], typer.Option("--m", help="Wrong items per selection slate; repeat.")] = [1, 3, 4],  # noqa: B006
    cohort: Annotated[str, typer.Option(help="Test users: all, cold or warm.")] = "all",
    users: Annotated[int, typer.Option(help="At most this many test users, 0 = all.")] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    run: Annotated[Path | None, typer.Option(help="A recorded run: the lift of its agents, on its questions.")] = None,
    agent: Annotated[
        str | None, typer.Option(help="An agent that reads: also played without a history, with a shuffled one, ...")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what the best shortcut scores, the agents that read nothing, and what others have beyond it.

    Examples:

      vrsim audit --world ml-100k --protocol vragent-paper

      vrsim audit --run runs/mine

      vrsim audit --protocol rank-matched --agent content
    """
    from vrsim.audit import AuditConfig, audit_run
    from vrsim.audit import audit as run_audit
    from vrsim.bench import plain
    from vrsim.progress import progress_bar
    from vrsim.runs import read_run
    from vrsim.tables import audit_tables

    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in ("run", "as_json") and context.get_parameter_source(parameter.name).name != "DEFAULT"
    ]
    if run is not None and given:
        raise OptionError(f"--run audits a recorded run on its own questions; leave out {' and '.join(given)}")
    impossible: dict[str, str] = {}
    if run is not None:
        recorded = read_run(run)
        loaded = recorded.world
        with progress_bar("audit") as progress:
            rows = audit_run(recorded, progress)
    else:
        config = AuditConfig(tuple(protocol or ()), tuple(task), tuple(m), cohort, users, seeds, agent)
        loaded = vrsim.World.load(world)  # building it has a bar of its own
        with progress_bar("audit") as progress:
            rows, impossible = run_audit(loaded, config, progress)
    if as_json:
        found = {"world": loaded.name, "world_hash": loaded.hash, "rows": plain([asdict(row) for row in rows])}
        print(json.dumps(found | {"impossible": impossible}, indent=1))
        return
    for table in audit_tables(rows, impossible, loaded.name):
        out_console.print(table, soft_wrap=True, highlight=False)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or of training runs.")],
    out: Annotated[Path, typer.Option(help="The page; pictures go into a folder beside it.")] = Path("report.html"),
    audit: Annotated[bool, typer.Option(help="Play the shortcuts that the runs have not.")] = True,
) -> None:
    """Write one page with the results of runs: tables, pictures, and every episode to look at.

    Of training runs, finished or not: reward, accuracy on users they never trained on, and more over the steps.

    Examples:

      vrsim report runs/mine --out report.html

      vrsim report runs/sft runs/grpo --out training.html
    """
    from vrsim.audit import missing_shortcuts
    from vrsim.progress import progress_bar
    from vrsim.report import need_matplotlib, write_report
    from vrsim.report.training_runs import are_training, put_together, read_training
    from vrsim.report.training_words import summary
    from vrsim.runs import read_run

    need_matplotlib()  # before the minutes that shortcuts may take
    with progress_bar("report") as progress:
        if trained := are_training(runs):
            recorded, played = put_together([read_training(run) for run in runs]), None
        else:
            recorded = [read_run(run) for run in runs]
            played = missing_shortcuts(recorded) if audit else None
        written = write_report(recorded, out, progress=progress, shortcut_runs=played)
    for line in summary(recorded) if trained else ():
        out_console.print(line, soft_wrap=True, markup=False, highlight=False)
    out_console.print(f"report: {out} and {len(written.files) - 1} pictures", soft_wrap=True, markup=False)
    for note in written.notes:
        out_console.print(note, soft_wrap=True, markup=False)

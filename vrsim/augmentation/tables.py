"""The result of the suite augment as tables for the terminal, narrow enough for 80 columns."""

from rich.markup import escape
from rich.table import Table

from vrsim.augmentation.rows import TESTED
from vrsim.augmentation.suite import Augmentation
from vrsim.numerals import number
from vrsim.published import AUGMENTED
from vrsim.table_parts import framed, lift_cells, with_interval

__all__ = ["augmentation_tables"]

GROUPS = {"asked": "the users asked", "all": "all users"}


def augmentation_tables(result: Augmentation) -> list[Table | str]:
    """How the recommenders rank for the users asked and for all, what is added, and what each row has over others."""
    title = f"{result.world}, {escape(result.agent)}, {result.protocol}"
    tables: list[Table | str] = [_said(result)]
    for group, users in GROUPS.items():
        tables += [_metrics(result, group, f"{title}: {users}"), _differences(result, group, users)]
    seeds = "1 seed" if result.seeds == 1 else f"{result.seeds} seeds"
    lines = (
        f"{result.asked:,} users asked ({result.cohort}), {result.users:,} in all, {seeds}",
        "the last item of each user among all that the user has not had",
        "added: interactions per user asked; next: share of them that the user really took next",
        "below a number its 95 % interval over users, not over trainings; p: paired, corrected by Holm",
        f"published: {AUGMENTED[0].source}, on {AUGMENTED[0].data}; 8,000 cold users asked",
    )
    return [*tables, "\n".join(lines) + "\n"]


def _said(result: Augmentation) -> str:
    said = result.answers
    unreadable = f", {said.unreadable:.2f} unreadable" if said.unreadable else ""
    return (
        f"of {said.shown} items shown {said.likes:.2f} are liked and {said.dislikes:.2f} are not{unreadable}; "
        f"{said.taken:.1%} of the users really took one of the {said.shown} next\n"
    )


def _metrics(result: Augmentation, group: str, title: str) -> Table:
    table = framed(title, "row")
    for head in ("added", "next", *(cell for metric in TESTED for cell in (metric, "published"))):
        table.add_column(head, justify="right", no_wrap=True)
    best = {metric: max(row.metrics[group][metric].value for row in result.rows) for metric in TESTED}
    for row in result.rows:
        told = row.published[group].metrics if group in row.published else {}
        cells = []
        for metric in TESTED:
            own = row.metrics[group][metric]
            cells += [with_interval(own, own.value == best[metric], 4), number(told.get(metric), 4)]
        table.add_row(row.name, number(row.added, 2) if row.added else "-", number(row.hits), *cells)
    return table


def _differences(result: Augmentation, group: str, users: str) -> Table:
    table = framed(f"differences, {users}", "row")
    table.add_column("minus", overflow="fold")
    for head in TESTED:
        table.add_column(head, justify="right", no_wrap=True)
        table.add_column("p", justify="right", no_wrap=True)
    for row in result.rows:
        for reference, lifts in row.over.get(group, {}).items():
            table.add_row(row.name, reference, *(cell for lift in lifts for cell in lift_cells(lift, 4)))
    return table

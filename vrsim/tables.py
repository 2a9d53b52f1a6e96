"""Results as tables for the terminal, narrow enough for 80 columns."""

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from vrsim.bench import Row
from vrsim.estimates import Estimate

__all__ = ["result_tables"]


def result_tables(rows: Sequence[Row], world: str) -> list[Table | str]:
    """One table with a line of explanation per protocol and task, and one of the agents' speed.

    The best accuracies are bold.
    """
    tables: list[Table | str] = []
    for protocol in dict.fromkeys(row.protocol for row in rows):
        for task in dict.fromkeys(row.task for row in rows if row.protocol == protocol):
            chosen = [row for row in rows if row.protocol == protocol and row.task == task]
            make = _judgment if task == "judgment" else _selection
            tables += [make(chosen, f"{world}, {protocol}: {task}"), _explanation(chosen)]
    return [*tables, _agents(rows)]


def _judgment(rows: list[Row], title: str) -> Table:
    table = _table(title)
    for name in rows[0].score.metrics:
        table.add_column(name, justify="right", no_wrap=True, min_width=9)
    table.add_column("base\nrate", justify="right", no_wrap=True, min_width=4)
    best = max(row.score.metrics["accuracy"].value for row in rows)
    for row in rows:
        metrics = row.score.metrics
        cells = [_cell(value, name == "accuracy" and value.value == best) for name, value in metrics.items()]
        table.add_row(row.agent, *cells, _number(row.score.base_rate))
    return table


def _selection(rows: list[Row], title: str) -> Table:
    table = _table(title)
    sizes = list(dict.fromkeys(row.m for row in rows))
    for m in sizes:
        table.add_column(f"m = {m}\nchance {_number(1 / (m + 1))}", justify="right", no_wrap=True, min_width=11)
    accuracy = {(row.agent, row.m): row.score.metrics["accuracy"] for row in rows}
    best = {m: max(value.value for (_, size), value in accuracy.items() if size == m) for m in sizes}
    for agent in dict.fromkeys(row.agent for row in rows):
        table.add_row(agent, *(_cell(accuracy[agent, m], accuracy[agent, m].value == best[m]) for m in sizes))
    return table


def _agents(rows: Sequence[Row]) -> Table:
    table = _table("agents: unreadable answers and speed")
    for head in ("decisions", "invalid", "decisions per second"):
        table.add_column(head, justify="right", min_width=len(head.split()[0]))
    for agent in dict.fromkeys(row.agent for row in rows):
        scores = [row.score for row in rows if row.agent == agent]
        asked = sum(score.decisions for score in scores)
        invalid = sum(score.invalid * score.decisions for score in scores) / asked
        speed = asked / sum(score.decisions / score.per_second for score in scores)
        table.add_row(agent, f"{asked:,}", f"{invalid:.1%}", f"{speed:,.0f}")
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("agent", overflow="fold")
    return table


def _explanation(rows: list[Row]) -> str:
    score, cohort = rows[0].score, rows[0].cohort
    who = "test users" if cohort == "all" else f"{cohort} test users"
    seeds = "1 seed" if len(score.by_seed) == 1 else f"{len(score.by_seed)} seeds"
    return f"{score.users} {who}, {seeds}; below each number its 95 % interval (bootstrap over users)\n"


def _cell(estimate: Estimate, best: bool) -> str:
    text = f"[bold]{_number(estimate.value)}[/bold]" if best else _number(estimate.value)
    if np.isfinite(estimate.low):
        text += f"\n[dim]{_number(estimate.low)}-{_number(estimate.high)}[/dim]"
    return text


def _number(value: float | None) -> str:
    """Three digits, the leading zero left out as papers do: .143, 1.00."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.3f}".removeprefix("0")[:4]

"""Results as tables for the terminal."""

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from vrsim.bench import Row
from vrsim.statistics import Estimate

__all__ = ["result_tables"]

HEADS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}


def result_tables(rows: Sequence[Row], world: str) -> list[Table]:
    """One table per protocol and task; the best point estimate of each accuracy column is bold."""
    tables = []
    for protocol in dict.fromkeys(row.protocol for row in rows):
        for task in dict.fromkeys(row.task for row in rows if row.protocol == protocol):
            chosen = [row for row in rows if row.protocol == protocol and row.task == task]
            make = _judgment if task == "judgment" else _selection
            tables.append(make(chosen, f"{world}, {protocol}, {task}"))
    return tables


def _judgment(rows: list[Row], title: str) -> Table:
    table = _table(title, rows)
    for name in rows[0].score.metrics:
        table.add_column(HEADS[name], justify="right", no_wrap=True)
    for head in ("base rate", "invalid", "decisions/s"):
        table.add_column(head, justify="right")
    best = max(row.score.metrics["accuracy"].value for row in rows)
    for row in rows:
        score = row.score
        cells = [
            _cell(estimate, name == "accuracy" and estimate.value == best) for name, estimate in score.metrics.items()
        ]
        table.add_row(row.agent, *cells, _number(score.base_rate), f"{score.invalid:.1%}", f"{score.per_second:,.0f}")
    return table


def _selection(rows: list[Row], title: str) -> Table:
    table = _table(title, rows)
    sizes = list(dict.fromkeys(row.m for row in rows))
    for m in sizes:
        table.add_column(f"m = {m}\n(chance {1 / (m + 1):.3f})", justify="right", no_wrap=True)
    for head in ("invalid", "decisions/s"):
        table.add_column(head, justify="right")
    accuracy = {(row.agent, row.m): row.score.metrics["accuracy"] for row in rows}
    best = {m: max(value.value for (_, size), value in accuracy.items() if size == m) for m in sizes}
    for agent in dict.fromkeys(row.agent for row in rows):
        own = [row.score for row in rows if row.agent == agent]
        speed = sum(s.decisions for s in own) / sum(s.decisions / s.per_second for s in own)
        invalid = sum(s.invalid * s.decisions for s in own) / sum(s.decisions for s in own)
        cells = [_cell(accuracy[agent, m], accuracy[agent, m].value == best[m]) for m in sizes]
        table.add_row(agent, *cells, f"{invalid:.1%}", f"{speed:,.0f}")
    return table


def _table(title: str, rows: list[Row]) -> Table:
    score = rows[0].score
    caption = (
        f"{score.users} {'' if rows[0].cohort == 'all' else rows[0].cohort + ' '}test users, {len(score.by_seed)} seeds, "
        "95 % intervals by bootstrap over users"
    )
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("agent", no_wrap=True)
    return table


def _cell(estimate: Estimate, best: bool) -> str:
    text = _number(estimate.value)
    if np.isfinite(estimate.low):
        text += f" [{_number(estimate.low)}, {_number(estimate.high)}]"
    text = text.replace("[", "\\[")
    return f"[bold]{text}[/bold]" if best else text


def _number(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.3f}"

"""The result of ``vrsim fidelity`` as tables for the terminal, narrow enough for 80 columns."""

from rich.markup import escape
from rich.table import Table

from vrsim.fidelity.ladder import DEPTH
from vrsim.fidelity.numbers import Trust
from vrsim.fidelity.order import TAU, UNDAMAGED
from vrsim.fidelity.suite import Fidelity
from vrsim.numerals import number
from vrsim.table_parts import framed, with_interval

__all__ = ["fidelity_tables"]

TAUS = (TAU, "no oracle", UNDAMAGED)


def fidelity_tables(result: Fidelity) -> list[Table | str]:
    """Who may be trusted, the highest tau first; how they react; and the ladder by truth and by liking."""
    seeds = "1 seed" if result.seeds == 1 else f"{result.seeds} seeds"
    deep = f"the recommender's first {result.shown} over its ranks {DEPTH - result.shown + 1} to {DEPTH}"
    trusted = [
        f"{result.users:,} test users, {seeds}, {result.questions:,} questions per seed; 95 % intervals over users",
        f"tau: Kendall's tau-b between liking and HR@{result.shown} of the rungs; *: a shortcut of the audit",
        *result.rule,
        *(f"not useful: {row.agent}: {'; '.join(row.objections)}" for row in result.rows if row.objections),
    ]
    reactions = [
        f"share of users who like one thing more, equal ones half: {deep},",
        "over random items, more than another user likes the same ones; the own next item over the other user's",
        "bold: most users, p < .05 (sign test, Holm); changed: answers that differ if the other user is asked",
    ]
    return [_trust(result), "\n".join(trusted) + "\n", _reactions(result), "\n".join(reactions) + "\n", _ladder(result)]


def _trust(result: Fidelity) -> Table:
    table = framed(f"{result.world}, {result.protocol}: who orders recommenders as the truth does?", "#")
    table.add_column("simulated user", overflow="fold")
    for head in (*(f"tau\n{name}" for name in TAUS), "over\nshortcut", "damage\nseen", "useful"):
        table.add_column(head, justify="right", no_wrap=True)
    for place, row in enumerate(result.rows, 1):
        tau, over = row.ordered.tau, row.ordered.over_shortcut
        seen = f"{sum(step.right for step in row.steps.values())}/{len(row.steps)}"
        cells = [with_interval(tau[name], digits=2) for name in TAUS]
        cells.append(with_interval(over[TAU], digits=2) if over else "-")
        table.add_row(str(place), _name(row), *cells, seen, "yes" if row.useful else "no")
    return table


def _reactions(result: Fidelity) -> Table:
    table = framed("what do they like more?", "simulated user")
    unread = any(row.invalid for row in result.rows)
    heads = (
        "over\ndeep",
        "over\nrandom",
        "than\nanother",
        "own\nnext",
        "changed",
        "seeds\nalike",
        *["invalid"] * unread,
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in result.rows:
        alike = row.seeds_alike
        cells = [with_interval(reaction.share, reaction.right, 2) for reaction in row.reactions.values()]
        cells.append(with_interval(row.changed, digits=2))
        cells.append(f"{number(alike.same, 2)}\n[dim]κ {number(alike.kappa, 2)}[/dim]" if alike else "-")
        table.add_row(_name(row), *cells, *[f"{row.invalid:.1%}"] * unread)
    return table


def _ladder(result: Fidelity) -> Table:
    table = framed("the ladder: what users took next, and how the simulated users above like it", "recommender")
    for head in (f"HR@{result.shown}", f"NDCG@{result.shown}", *map(str, range(1, len(result.rows) + 1))):
        table.add_column(head, justify="right", no_wrap=True)
    for rung in result.rungs:
        liking = [number(row.ordered.liking[rung.name].value, 2) for row in result.rows]
        table.add_row(escape(rung.name), with_interval(rung.hits), number(rung.ndcg.value), *liking)
    return table


def _name(row: Trust) -> str:
    return escape(row.agent) + "*" * row.shortcut

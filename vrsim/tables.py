"""Results as tables for the terminal, narrow enough for 80 columns."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vrsim.audit import Audited
from vrsim.bench import Row
from vrsim.models.ledger import Usage
from vrsim.numerals import number, p_value
from vrsim.published import PublishedRow, published_ranking
from vrsim.recommender_rows import RANKING_SUITES
from vrsim.recommender_suite import Ranking
from vrsim.table_parts import framed, lift_cells, signed, with_interval
from vrsim.variants import Compared

__all__ = ["ablation_tables", "audit_tables", "costs_table", "published_tables", "ranking_tables", "result_tables"]


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


def audit_tables(rows: Sequence[Audited], impossible: Mapping[str, str], world: str) -> list[Table | str]:
    """The best shortcut of each set of questions; every shortcut, where there is one protocol; and the lifts."""
    tables: list[Table | str] = []
    if len({row.question.protocol for row in rows}) == 1:
        tables += [_shortcuts(row) for row in rows]
    best = framed(f"{world}: the best shortcut", "questions")
    for head in ("chance", "best shortcut", "score", "left out", "users"):
        best.add_column(head, justify="left" if head == "best shortcut" else "right", overflow="fold")
    for row in rows:
        score = row.scores[row.best] if row.best else None
        cells = ("-", "-", "-") if score is None else (row.best, with_interval(score.headline), f"{score.users:,}")
        best.add_row(str(row.question), number(row.chance), *cells[:2], f"{row.left_out:.1%}", cells[2])
    tables += [best, "score: accuracy, or AUC where a protocol goes by it; below it the 95 % interval over users\n"]
    skipped = {agent: reason for row in rows for agent, reason in row.skipped.items()}
    tables += [f"not played: {agent}: {reason}\n" for agent, reason in skipped.items()]
    tables += [f"not asked: {question}: {reason}\n" for question, reason in impossible.items()]
    return [*tables, *(_lifts(row) for row in rows if row.lifts)]


def ablation_tables(compared: Sequence[Compared], world: str, seeds: int) -> list[Table | str]:
    """Two tables per set of questions: what each variant scores, and what it has over SFT and the best shortcut."""
    tables: list[Table | str] = []
    each = "1 seed" if seeds == 1 else f"{seeds} seeds"
    for found in compared:
        judged, told = found.question.task == "judgment", any(row.published is not None for row in found.rows)
        scores = framed(f"{world}, {found.question}", "variant")
        for head in ("accuracy", *["f1"] * judged, "each seed", "reward", *["published"] * told):
            scores.add_column(head, justify="right")
        differences = framed("", "variant")
        for head in ("over SFT", "p", "over shortcut", "p"):
            differences.add_column(head, justify="right", no_wrap=True)
        best = max(row.accuracy.value for row in found.rows)
        for row in found.rows:
            f1 = [number(row.f1.value)] if row.f1 else []
            own = [" ".join(map(number, row.by_seed)) or "-", number(row.reward, 2)]
            published = [number(row.published)] if told else []
            scores.add_row(row.variant, with_interval(row.accuracy, row.accuracy.value == best), *f1, *own, *published)
            differences.add_row(row.variant, *lift_cells(row.over_sft), *lift_cells(row.over_shortcut))
        shortcut = f"; the best shortcut is {found.shortcut}, {number(found.score.value)}" if found.score else ""
        tables += [scores, differences, f"{found.users} test users, {each}{escape(shortcut)}\n"]
    return [*tables, "below a number its 95 % interval over users, not over trainings; p: paired, corrected by Holm\n"]


def ranking_tables(result: Ranking) -> list[Table | str]:
    """The metrics at 10 and at 20 with the published ones beside, and what each row has over the references."""
    tables: list[Table | str] = []
    found = {row.row.name: row for row in result.rows}
    suite = RANKING_SUITES[result.suite]
    beside = {row.name: published_ranking(row.beside) for row in suite.rows}
    for k in (10, 20):
        metrics = (f"HR@{k}", f"NDCG@{k}")
        table = framed(f"{result.world}, {result.suite}: at {k}", "row")
        for head in (metrics[0], "published", metrics[1], "published"):
            table.add_column(head, justify="right", no_wrap=True)
        best = {metric: max(row.metrics[metric].value for row in result.rows) for metric in metrics}
        for name, published in beside.items():
            told = published.metrics if published else {}
            if name not in found and not (name in result.left_out and told.keys() & set(metrics)):
                continue
            cells = []
            for metric in metrics:
                own = found[name].metrics[metric] if name in found else None
                cells += [with_interval(own, own.value == best[metric], 4) if own else "-", number(told.get(metric), 4)]
            table.add_row(name, *cells)
        tables.append(table)
    if references := [name for name in suite.references if name in found and len(found) > 1]:
        differences = framed("HR@10 minus that of a reference", "row")
        for head in references:
            differences.add_column(f"over {head}", justify="right", no_wrap=True)
            differences.add_column("p", justify="right", no_wrap=True)
        for name, row in found.items():
            lifts = (row.over.get(reference) for reference in references)
            differences.add_row(name, *(cell for lift in lifts for cell in lift_cells(lift, 4)))
        tables.append(differences)
    seeds = "1 seed" if result.seeds == 1 else f"{result.seeds} seeds"
    lines = (
        f"{result.users:,} users, {seeds}; the last item of each among all that the user has not had",
        "below a number its 95 % interval over users, not over trainings; p: paired, corrected by Holm",
        *(
            f"published: {source}, on {data}"
            for source, data in sorted({(r.source, r.data) for r in beside.values() if r})
        ),
    )
    return [*tables, "\n".join(lines) + "\n"]


def _shortcuts(row: Audited) -> Table:
    table = framed(str(row.question))
    first = next(iter(row.scores.values()))
    names = [*first.metrics, *({name for score in row.scores.values() for name in score.probabilistic} & {"auc"})]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True, min_width=9)
    for agent, score in row.scores.items():
        known = score.metrics | score.probabilistic
        cells = [with_interval(known[name], agent == row.best) if name in known else "-" for name in names]
        table.add_row(agent, *cells)
    return table


def _lifts(row: Audited) -> Table:
    table = framed(f"{row.question}: lift over {row.best}")
    for head in ("score", "lift", "better : worse", "p (Holm)", "changed"):
        table.add_column(head, justify="right")
    for agent, lift in row.lifts.items():
        difference = lift.difference
        changed = "" if lift.changed is None else f"{lift.changed:.1%}"
        users = f"{difference.better} : {difference.worse}"
        p = p_value(lift.p)
        table.add_row(agent, with_interval(row.agents[agent].headline), signed(difference.value), users, p, changed)
    return table


def published_tables(rows: Sequence[PublishedRow]) -> list[Table]:
    """Published numbers, one table per data set and source, with the share of positives that they imply."""
    tables = []
    for data, source in dict.fromkeys((row.data, row.source) for row in rows):
        chosen = [row for row in rows if (row.data, row.source) == (data, source)]
        table = framed(f"{data}, published in {source}", "simulator")
        metrics = list(dict.fromkeys(name for row in chosen for name in row.judgment))
        sizes = list(dict.fromkeys(m for row in chosen for m in row.selection))
        for head in (*metrics, *(f"m = {m}" for m in sizes), "base rate"):
            table.add_column(head, justify="right")
        for row in chosen:
            numbers = [row.judgment.get(name) for name in metrics] + [row.selection.get(m) for m in sizes]
            table.add_row(row.simulator, *map(number, [*numbers, row.base_rate]))
        tables.append(table)
    return tables


def _judgment(rows: list[Row], title: str) -> Table:
    table = framed(title)
    for name in rows[0].score.metrics:
        table.add_column(name, justify="right", no_wrap=True, min_width=9)
    table.add_column("base\nrate", justify="right", no_wrap=True, min_width=4)
    best = max(row.score.metrics["accuracy"].value for row in rows)
    for row in rows:
        metrics = row.score.metrics
        cells = [with_interval(value, name == "accuracy" and value.value == best) for name, value in metrics.items()]
        table.add_row(row.agent, *cells, number(row.score.base_rate))
    return table


def _selection(rows: list[Row], title: str) -> Table:
    table = framed(title)
    sizes = list(dict.fromkeys(row.m for row in rows))
    for m in sizes:
        table.add_column(f"m = {m}\nchance {number(1 / (m + 1))}", justify="right", no_wrap=True, min_width=11)
    accuracy = {(row.agent, row.m): row.score.metrics["accuracy"] for row in rows}
    best = {m: max(value.value for (_, size), value in accuracy.items() if size == m) for m in sizes}
    for agent in dict.fromkeys(row.agent for row in rows):
        table.add_row(agent, *(with_interval(accuracy[agent, m], accuracy[agent, m].value == best[m]) for m in sizes))
    return table


def _agents(rows: Sequence[Row]) -> Table:
    table = framed("agents: unreadable answers and speed")
    read = any(row.score.well_formed is not None for row in rows)
    rate = "per second of the model's time" if read else "decisions per second"  # calls at once count one by one
    heads = ["decisions", "invalid", *(["well-formed", "history cut"] if read else []), rate]
    for head in heads:
        table.add_column(head, justify="right", min_width=len(head.split()[0]))
    for agent in dict.fromkeys(row.agent for row in rows):
        scores = [row.score for row in rows if row.agent == agent]
        weights = [score.decisions for score in scores]
        asked = sum(weights)
        shares = [
            [getattr(score, name) for score in scores] for name in ("invalid", "well_formed", "cut")[: 3 if read else 1]
        ]
        cells = ["" if None in share else f"{np.average(share, weights=weights):.1%}" for share in shares]
        speed = asked / sum(score.decisions / score.per_second for score in scores)
        table.add_row(agent, f"{asked:,}", *cells, f"{speed:,.3g}" if speed < 10 else f"{speed:,.0f}")
    return table


def costs_table(usage: Mapping[tuple[str, str], Usage]) -> Table:
    """What models were asked and what it cost, by agent and model."""
    table = Table(title="models: calls and costs", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("agent", overflow="fold")
    table.add_column("model", overflow="fold")
    for head in ("calls", "failed", "reused", "tokens read", "tokens written", "seconds", "dollars"):
        table.add_column(head, justify="right")
    for (agent, model), used in usage.items():
        dollars = "unknown" if used.dollars is None else f"{used.dollars:.4f}"
        numbers = (used.calls, used.failed, used.reused, used.prompt_tokens, used.completion_tokens)
        table.add_row(escape(agent), escape(model), *(f"{n:,}" for n in numbers), f"{used.seconds:,.1f}", dollars)
    return table


def _explanation(rows: list[Row]) -> str:
    score, cohort = rows[0].score, rows[0].cohort
    who = "test users" if cohort == "all" else f"{cohort} test users"
    seeds = "1 seed" if len(score.by_seed) == 1 else f"{len(score.by_seed)} seeds"
    return f"{score.users} {who}, {seeds}; below each number its 95 % interval (bootstrap over users)\n"

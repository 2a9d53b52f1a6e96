"""The benchmark of policies as tables for the terminal, narrow enough for 80 columns."""

from rich.table import Table

from vrsim.numerals import number
from vrsim.session.bench import REFERENCE, SessionBench
from vrsim.session.metrics import METRICS
from vrsim.table_parts import framed, lift_cells, signed, with_interval

__all__ = ["session_tables"]

CAME = ("return", "length", "consumed")
GAVE = ("satisfaction", "retention", "went on")
SHOWN = ("diversity", "novelty")


def session_tables(result: SessionBench) -> list[Table | str]:
    """What came of sessions with each policy, what they gave the user, and what was shown in them."""
    config = result.config
    title = f"{config.world}: sessions with {config.user}"
    came, gave, shown = (framed(f"{title}{what}", "policy") for what in ("", ", what they gave", ", what was shown"))
    for table, heads in (
        (came, (*CAME, f"over {REFERENCE}", "p")),
        (gave, GAVE),
        (shown, (*SHOWN, "popularity bias", "coverage", "filled")),
    ):
        for head in heads:
            table.add_column(head, justify="right", overflow="fold")
    top = max((row.score.metrics["return"].value for row in result.rows), default=0.0)
    for row in result.rows:
        metrics = row.score.metrics
        cells = [with_interval(metrics[name], name == "return" and metrics[name].value == top) for name in CAME]
        came.add_row(row.policy, *cells, *lift_cells(row.over))
        gave.add_row(row.policy, *(with_interval(metrics[name]) for name in GAVE))
        shown.add_row(
            row.policy,
            *(with_interval(metrics[name]) for name in SHOWN),
            signed(metrics["popularity bias"]),
            number(row.score.coverage),
            number(row.score.repaired),
        )
    meaning = {**METRICS, "coverage": "share of the catalog shown to anybody", "filled": "share of places repaired"}
    lines = "\n".join(f"{name}: {what}" for name, what in meaning.items())
    score = result.rows[0].score
    invalid = f", {max(row.score.invalid for row in result.rows):.1%} of the users' answers unreadable at most"
    sizes = f"{score.users:,} users, {config.seeds} seeds, at most {config.turns} turns{invalid}"
    for row in result.rows:
        if row.score.unread:
            sizes += f"\n{row.policy}: {row.score.unread:.1%} of its replies could not be read"
    return [came, gave, shown, f"{lines}\n{sizes}\n"]

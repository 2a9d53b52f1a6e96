"""Small parts of a page: tables, pairs of facts, text that is only text. Nothing else here writes unescaped words."""

import html
import re
from collections.abc import Iterable, Sequence

import numpy as np

from vrsim.estimates import Estimate
from vrsim.numerals import number
from vrsim.report.plain_text import interval, markup

__all__ = ["Html", "estimate", "facts", "fold", "isolated", "plain", "plural", "table"]

Html = str
"""Text that is HTML already. Everything else goes through ``plain`` or ``isolated``."""


def plain(text: str) -> Html:
    """A text of our own or from a protocol's card."""
    return markup(text, 2000)


def isolated(name: str) -> Html:
    """A name of unknown origin, kept from reordering what stands beside it; lines may break after its punctuation."""
    broken = re.sub("([:,=/@])", r"\1<wbr>", markup(name, 200))
    return f"<bdi>{broken}</bdi>"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 seed``, ``1,416 decisions``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def estimate(value: Estimate | None, write=number) -> Html:
    """A number, below it its interval."""
    if value is None or not np.isfinite(value.value):
        return "-"
    between = interval(value, write)
    return write(value.value) + (f'<span class="range">{between}</span>' if between else "")


def facts(pairs: Iterable[tuple[str, Html]], name: str = "") -> Html:
    """Names and values; pairs without a value are left out."""
    rows = "".join(f"<dt>{html.escape(key)}</dt><dd>{value}</dd>\n" for key, value in pairs if value)
    return f"<dl{_class(name)}>\n{rows}</dl>\n"


def fold(title: str, content: Html) -> Html:
    """Something to open."""
    return f'<details class="more"><summary>{html.escape(title)}</summary>\n{content}</details>\n'


def table(label: str, heads: Sequence[str], rows: Iterable[tuple[str, Sequence[Html]]]) -> Html:
    """A table that scrolls by itself where it is wider than the screen.

    Rows are a class and cells; the first cell heads its row. A head that starts with ``*`` is that of the column by
    which rows are ordered, one that starts with ``<`` is aligned left. Columns without any value are left out.
    """
    rows = list(rows)
    kept = [i for i in range(len(heads)) if i == 0 or any(cells[i] not in ("", "-") for _, cells in rows)]
    classes = [_class({"*": "headline", "<": "left"}.get(head[:1], "")) for head in heads]
    head = "".join(f'<th scope="col"{classes[i]}>{html.escape(heads[i].lstrip("*<"))}</th>' for i in kept)
    body = "".join(
        f'<tr{_class(name)}><th scope="row">{cells[0]}</th>'
        + "".join(f"<td{classes[i]}>{cells[i]}</td>" for i in kept[1:])
        + "</tr>\n"
        for name, cells in rows
    )
    where = markup(label)
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{where}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _class(name: str) -> Html:
    return f' class="{name}"' if name else ""

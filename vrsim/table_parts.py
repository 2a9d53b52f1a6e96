"""What all tables on the terminal are made of: the frame, a number with its interval, a difference with its p."""

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from vrsim.audit import Lift
from vrsim.estimates import Estimate
from vrsim.numerals import number, p_value

__all__ = ["framed", "lift_cells", "signed", "with_interval"]


def framed(title: str, first: str = "agent") -> Table:
    """An empty table whose first column names the rows."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    return table


def with_interval(estimate: Estimate, best: bool = False, digits: int = 3) -> str:
    """A number with its interval below, bold if it is the ``best``."""
    low, value, high = (number(x, digits) for x in (estimate.low, estimate.value, estimate.high))
    text = f"[bold]{value}[/bold]" if best else value
    return f"{text}\n[dim]{low}-{high}[/dim]" if np.isfinite(estimate.low) else text


def signed(estimate: Estimate, digits: int = 3) -> str:
    """A difference: +.143 with its interval below."""
    low, value, high = (
        f"{'+' if x > 0 else '-' if x < 0 else ''}{number(abs(x), digits)}"
        for x in (estimate.low, estimate.value, estimate.high)
    )
    return f"{value}\n[dim]{low} to {high}[/dim]" if np.isfinite(estimate.low) else value


def lift_cells(lift: Lift | None, digits: int = 3) -> tuple[str, str]:
    """A difference with its interval, and its p."""
    return ("-", "-") if lift is None else (signed(lift.difference.value, digits), p_value(lift.p))

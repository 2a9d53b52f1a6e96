"""How numbers are written, on the terminal and on a page."""

import numpy as np

__all__ = ["number", "p_value"]


def number(value: float | None, digits: int = 3) -> str:
    """Three digits, the leading zero left out as papers do: .143, 1.00."""
    if value is None or not np.isfinite(value):
        return "-"
    text = f"{abs(value):.{digits}f}"
    text = text[:-1] if text[0] != "0" else text[1:]
    return f"\N{MINUS SIGN}{text}" if value < 0 and text.strip(".0") else text


def p_value(p: float) -> str:
    """``< .001``, ``.012``."""
    return "< .001" if p < 0.001 else number(p)

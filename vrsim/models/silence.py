"""When a model counts as out of order: it left most of what it was asked without an answer."""

from vrsim.errors import ModelError

__all__ = ["FEWEST", "refuse_silence"]

FEWEST = 8  # questions from which on the share says something; below, failures are answers that cannot be read


def refuse_silence(model: str, failed: int, asked: int, fewest: int = FEWEST) -> None:
    """Raise ModelError if more than half of at least ``fewest`` questions failed after every try."""
    if asked >= fewest and failed > asked / 2:
        raise ModelError(
            f"{model} answered {asked - failed:,} of {asked:,} prompts, after every try; the warning above has the "
            "first reason. The same command goes on with the others"
        )

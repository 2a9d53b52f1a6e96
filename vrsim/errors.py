"""The errors a user of vrsim can meet, and the "did you mean" that goes with unknown names."""

import difflib
from collections.abc import Iterable

__all__ = [
    "ActionError",
    "BudgetError",
    "DataError",
    "DecisionError",
    "DependencyError",
    "EpisodeError",
    "ModelError",
    "OptionError",
    "ResultsError",
    "TrainingError",
    "UnknownNameError",
    "VideoError",
    "VrsimError",
    "WorldError",
]


class VrsimError(Exception):
    """Anything vrsim refuses to do. The message says what was expected, what was found and what helps."""


class DataError(VrsimError, ValueError):
    """Interactions, items or candidates that cannot be used as they are."""


class WorldError(VrsimError):
    """A world folder that is missing, unfinished, damaged or of another format."""


class EpisodeError(VrsimError, ValueError):
    """Episodes that the world cannot provide, or a user, item, position or episode that does not exist."""


class ActionError(VrsimError, ValueError):
    """An action outside the action space, or a step at a moment when there is nothing to decide."""


class DecisionError(VrsimError, TypeError):
    """Decisions of the wrong type or shape: a defect of the agent, not a bad reply."""


class ResultsError(VrsimError):
    """A results folder that holds something else than expected."""


class OptionError(VrsimError, ValueError):
    """An option with a value that cannot be used."""


class ModelError(VrsimError):
    """A language model that cannot be found, loaded or asked."""


class TrainingError(VrsimError):
    """A training run that cannot start, cannot go on, or must not."""


class VideoError(VrsimError):
    """A video that cannot be opened or decoded, or takes too long."""


class BudgetError(VrsimError):
    """The money or the tokens that a run may spend are spent."""


class DependencyError(VrsimError, ImportError):
    """An optional dependency is not installed."""


class UnknownNameError(VrsimError, LookupError):
    """A name that is not known, with the nearest one that is."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, str(name), sorted(known)
        near = difflib.get_close_matches(self.name, self.known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(self.known) or 'none'}.")

    def __reduce__(self):  # the default would call __init__ with the finished message
        return type(self), (self.kind, self.name, self.known)

    def __str__(self) -> str:
        return str(self.args[0])

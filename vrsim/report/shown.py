"""What the browser of episodes is given: sets of questions, their agents, and how much of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.episodes import Episodes
from vrsim.errors import ResultsError
from vrsim.loop import Played

__all__ = ["Shown"]


@dataclass(frozen=True, eq=False)
class Shown:
    """One set of questions, agents in the order of the table. Raises ResultsError for missing decisions."""

    title: str
    played: Mapping[str, Sequence[Played]]  # by agent: one per seed
    shortcuts: frozenset[str]  # of the agents

    def __post_init__(self) -> None:
        for name, runs in self.played.items():
            for run in runs:
                if not np.array_equal(run.index, np.arange(len(run.episodes))):
                    raise ResultsError(
                        f"{self.title}: expected of {name!r} one decision per episode, in order; "
                        f"found {len(run.index)} decisions about {len(run.episodes)} episodes"
                    )

    @property
    def episodes(self) -> list[Episodes]:
        """By seed."""
        return [run.episodes for run in next(iter(self.played.values()))]

    @property
    def history(self) -> tuple[str, int]:
        """Sets that agree in this show the same history at the same position."""
        protocol = self.episodes[0].protocol
        return protocol.shows, protocol.history

    def first(self, share: float) -> list[int]:
        """How many episodes of each seed a share of them is, at least 1."""
        return [max(1, int(share * len(episodes))) for episodes in self.episodes]

"""A benchmark's cell on a worker of Ray: what travels there, how it is played, and what comes back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from vrsim.cluster.origin import Origin
from vrsim.episodes import Episodes
from vrsim.errors import VrsimError
from vrsim.loop import BATCH, Played, play_batches
from vrsim.models.ledger import Ledger, Usage
from vrsim.records import Cell
from vrsim.registry import make_agent
from vrsim.seeding import derive

__all__ = ["Job", "Step", "play_job"]


@dataclass(frozen=True, eq=False)
class Job:
    """One cell as it travels: without the world, which every machine has."""

    cell: Cell
    origin: Origin
    questions: Mapping[str, Any]  # the fields of Episodes but the world
    before: Sequence[Mapping[str, Any]]  # of each recorded batch the fields of Played but the episodes
    limits: tuple[float | None, int | None]  # dollars and tokens of the whole run

    @staticmethod
    def of(cell: Cell, episodes: Episodes, before: Sequence[Played], ledger: Ledger) -> "Job":
        """The job that this process would do itself."""
        return Job(
            cell,
            Origin.here(episodes.world),
            _without("world", episodes),
            [_without("episodes", part) for part in before],
            (ledger.limit, ledger.token_limit),
        )


@dataclass(frozen=True, eq=False)
class Step:
    """What comes back: one batch, or why there is none, and what it cost. Before each an empty one, which is a gate:
    the worker goes on when the gate is taken, so that nothing is asked that is not booked."""

    played: Mapping[str, Any] | None = None  # the fields of Played but the episodes
    usage: Mapping[tuple[str, str], Usage] = field(default_factory=dict)  # by agent and model
    error: VrsimError | None = None  # as it is: Ray would hide its words


def play_job(job: Job) -> Iterator[Step]:
    """Play a cell, from where its records end."""
    yield Step()
    book = Ledger()
    try:
        episodes = Episodes(job.origin.enter(), **job.questions)
        before = [Played(episodes, **part) for part in job.before]
        agent = make_agent(job.cell.agent)
        agent.account(job.cell.agent, book := Ledger(None, *job.limits))
        for part in play_batches(agent, episodes, derive(job.cell.seed, "agent"), batch=BATCH, before=before):
            yield Step(_without("episodes", part), book.usage)
            yield Step()
            agent.account(job.cell.agent, book := Ledger(None, *job.limits))
    except VrsimError as error:
        yield Step(None, book.usage, error)


def _without(name: str, record: Any) -> dict[str, Any]:
    """The fields of a frozen dataclass but one."""
    return {f.name: getattr(record, f.name) for f in fields(record) if f.name != name}

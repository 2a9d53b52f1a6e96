"""Sessions on many machines: every policy with every seed is a Ray task, and its turns come back.

As with the cells of a benchmark of users, every machine must see worlds and models under the same paths, Ray plays
again what a worker had under way when it died, and the process that asked writes the files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrsim.errors import ResultsError, VrsimError
from vrsim.models.ledger import Ledger, Usage
from vrsim.ray_connect import connect, task_options
from vrsim.ray_origin import Origin
from vrsim.session_bench import SessionBenchConfig, play_cell
from vrsim.session_loop import SessionLog
from vrsim.world import World

__all__ = ["play_sessions_on_ray"]

Cell = tuple[str, int]  # policy and seed


@dataclass(frozen=True, eq=False)
class _Job:
    """One cell as it travels."""

    config: SessionBenchConfig
    cell: Cell
    origin: Origin
    limits: tuple[float | None, int | None]  # dollars and tokens of the whole run


@dataclass(frozen=True, eq=False)
class _Done:
    """What comes back."""

    cell: Cell
    log: SessionLog | None
    usage: Mapping[tuple[str, str], Usage]  # by agent and model
    error: VrsimError | None = None  # as it is: Ray would hide its words


def play_sessions_on_ray(
    config: SessionBenchConfig, world: World, cells: Sequence[Cell], ledger: Ledger, *, address: str = ""
) -> Iterator[tuple[Cell, SessionLog]]:
    """The cells as they are done, in any order, on the Ray cluster at ``address``, "" = one of this machine.

    What they cost is booked when they are done; the limits of the ledger hold for each cell apart, and for all that is
    booked before another is begun. Raises DependencyError without Ray, OptionError for a cluster that cannot be
    reached, ResultsError for a cell whose workers die, and what ``run_session_bench`` raises.
    """
    ray = connect(address)
    task = ray.remote(_play)
    jobs = [_Job(config, cell, Origin.here(world), (ledger.limit, ledger.token_limit)) for cell in cells]
    running = [task.options(name=f"{job.cell[0]}, seed {job.cell[1]}", **task_options()).remote(job) for job in jobs]
    try:
        while running:
            [ready], running = ray.wait(running)
            done = _take(ray, ready)
            for (agent, model), usage in done.usage.items():
                ledger.add(agent, model, usage)
            if done.error is not None:
                raise done.error
            yield done.cell, done.log
            ledger.check()
    finally:
        for waiting in running:
            ray.cancel(waiting)


def _take(ray: Any, ready: Any) -> _Done:
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError:
        raise  # a defect of a policy, with its traceback
    except ray.exceptions.RayError as error:
        raise ResultsError(
            f"too many workers died over a policy, perhaps for want of memory ({error}); what is recorded is kept, and "
            "the same command goes on from there"
        ) from error


def _play(job: _Job) -> _Done:
    """Play a cell; on a worker."""
    book = Ledger(None, *job.limits)
    try:
        log = play_cell(job.config, job.origin.enter(), *job.cell, book)
    except VrsimError as error:
        return _Done(job.cell, None, book.usage, error)
    return _Done(job.cell, log, book.usage)

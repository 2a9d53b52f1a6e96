"""The cells of a benchmark on many machines: each is a Ray task that plays it and hands back batch after batch.

Every machine must see worlds, models and the folder of the run under the same paths, as on a shared disk. Records and
costs are written by the process that asked, so a run gets the same files as without Ray, but for the milliseconds, and
either can go on where the other stopped. ``costs.jsonl`` has one line per batch, in the order in which they come.

Ray plays a cell again whose worker died. What the dead worker had been asked since its last batch costs that time, and
its money again where the model has no store; the ledger knows of it as little as after a kill without Ray.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from vrsim.cluster.connect import RETRIES, connect, task_options
from vrsim.cluster.worker import Job, Step, play_job
from vrsim.episodes import Episodes
from vrsim.errors import BudgetError, OptionError, ResultsError, VrsimError
from vrsim.loop import Played
from vrsim.models.ledger import Ledger
from vrsim.progress import Progress, silent
from vrsim.records import Cell, RunFolder
from vrsim.registry import make_agent

__all__ = ["play_on_ray"]


Running = dict[Any, tuple[Cell, Episodes]]
"""The cells that are being played, by their streams of steps."""


def play_on_ray(
    run: RunFolder,
    cells: Sequence[tuple[Cell, Episodes]],
    ledger: Ledger,
    *,
    address: str = "",
    progress: Progress = silent,
) -> None:
    """Play and record what is missing of ``cells`` on the Ray cluster at ``address``, "" = one of this machine.

    Once a cell fails or the budget is spent, no cell is begun any more, and the batches under way are still booked and
    recorded. Raises DependencyError without Ray, OptionError for a cluster that cannot be used and for agents that
    ask a person, ResultsError for a cell whose workers die, and what ``run_bench`` raises.
    """
    agents = {name: make_agent(name) for name in dict.fromkeys(cell.agent for cell, _ in cells)}
    for name, agent in agents.items():
        if agent.interactive:
            raise OptionError(f"{name} asks a person, who sits at one machine; leave --ray out")
    if address.startswith("ray://"):
        raise OptionError(
            f"{address} is the address for clients outside, which Ray hands no streams; start the command on a machine "
            "of the cluster, with --ray HOST:PORT"
        )
    ray = connect(address)
    task, options = ray.remote(play_job), _options()
    gpus = ray.cluster_resources().get("GPU", 0)
    running: Running = {}
    done, total = 0, sum(len(episodes) for _, episodes in cells)
    try:
        for cell, episodes in cells:
            before = run.recorded(cell, episodes)
            known = sum(len(part.index) for part in before)
            done += known
            if known < len(episodes):
                run.begin(cell, episodes)
                gpu = int(gpus >= 1 and agents[cell.agent].wants_gpu)
                send = task.options(num_gpus=gpu, name=str(cell), **options).remote
                running[send(Job.of(cell, episodes, before, ledger))] = cell, episodes
        for cell, played in _batches(ray, running, ledger):
            run.append(cell, played)
            done += len(played.index)
            progress(done, total, str(cell))
    finally:
        for stream in running:
            ray.cancel(stream)


def _options() -> dict[str, Any]:
    """How every cell is run: its batches come as a stream, and an empty step makes a gate."""
    return task_options() | {"num_returns": "streaming", "_generator_backpressure_num_objects": 1}


def _batches(ray: Any, running: Running, ledger: Ledger) -> Iterator[tuple[Cell, Played]]:
    """The batches of all cells as they come, booked; cells that have ended are taken out of ``running``.

    Raises at the end what has failed first on the way.
    """
    asked: set[Any] = set()  # streams whose gate was taken
    failed: VrsimError | None = None
    while running:
        [stream], _ = ray.wait([*running])
        cell, episodes = running[stream]
        step = _next(ray, stream, cell)
        if step is None:
            del running[stream]
            continue
        asked ^= {stream}
        error = _book(ledger, step)
        failed = failed or error
        if step.played is not None:
            yield cell, Played(episodes, **step.played)
        if failed is not None:
            for waiting in running.keys() - asked:
                ray.cancel(waiting)
                del running[waiting]
    if failed is not None:
        raise failed


def _next(ray: Any, stream: Any, cell: Cell) -> Step | None:
    """The next step of a cell, None after the last one."""
    try:
        return ray.get(next(stream))
    except StopIteration:
        return None
    except ray.exceptions.RayTaskError:
        raise  # a defect of the agent, with its traceback
    except ray.exceptions.RayError as error:
        raise ResultsError(
            f"{cell}: {1 + RETRIES} workers died over it, perhaps for want of memory ({error}); what is recorded is "
            "kept, and the same command goes on from there"
        ) from error


def _book(ledger: Ledger, step: Step) -> VrsimError | None:
    """Book what a step cost; returns what ends the run, if anything does."""
    for (agent, model), usage in step.usage.items():
        ledger.add(agent, model, usage)
    if step.error is not None:
        return step.error
    try:
        ledger.check()
    except BudgetError as error:
        return error
    return None

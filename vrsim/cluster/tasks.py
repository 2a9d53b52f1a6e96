"""Independent pieces of work on many machines: each is a Ray task, and its result comes back.

Every machine must see worlds and models under the same paths, as on a shared disk. Ray does again what a worker had
under way when it died; the process that asked writes the files.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vrsim.cluster.connect import RETRIES, connect, task_options
from vrsim.cluster.origin import Origin
from vrsim.errors import ResultsError, VrsimError
from vrsim.world import World

__all__ = ["run_on_ray"]


def run_on_ray(
    work: Callable[..., Any], pieces: Mapping[Any, tuple[Any, ...]], world: World, *, address: str = ""
) -> Iterator[tuple[Any, Any]]:
    """``work(world, *piece)`` of every piece, by its key, as they are done, in any order.

    ``address`` is that of a Ray cluster, "" = one of this machine. Raises what the work raises, DependencyError without
    Ray, OptionError for a cluster that cannot be used, and ResultsError for a piece whose workers die; what is still
    waiting then is not begun.
    """
    ray = connect(address)
    task, origin = ray.remote(_work), Origin.here(world)
    running = {
        task.options(name=str(key), **task_options()).remote(work, piece, origin): key for key, piece in pieces.items()
    }
    try:
        while running:
            [ready], _ = ray.wait([*running])
            key = running.pop(ready)
            try:
                result = ray.get(ready)
            except ray.exceptions.RayTaskError:
                raise  # a defect, with its traceback
            except ray.exceptions.RayError as error:
                raise ResultsError(
                    f"{key}: {1 + RETRIES} workers died over it, perhaps for want of memory ({error}); what is "
                    "recorded is kept, and the same command goes on from there"
                ) from error
            if isinstance(result, VrsimError):
                raise result
            yield key, result
    finally:
        for waiting in running:
            ray.cancel(waiting)


def _work(work: Callable[..., Any], piece: tuple[Any, ...], origin: Origin) -> Any:
    """The result, or an error of ours in its place: Ray would hide its words."""
    try:
        return work(origin.enter(), *piece)
    except VrsimError as error:
        return error

"""Runs a coroutine to its end, also where an event loop is running already, as in a notebook."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

__all__ = ["Tell", "run_to_end"]

T = TypeVar("T")
Tell = Callable[..., Coroutine[Any, Any, Any]]
"""``await tell(function, *arguments)`` calls the function in the caller's thread; returns and raises what it does."""


def run_to_end(work: Callable[[Tell], Coroutine[Any, Any, T]]) -> T:
    """What ``work(tell)`` returns or raises; a KeyboardInterrupt cancels it and is raised when it has ended."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work(_here))
    return _run_beside(work)


async def _here(function: Callable, *arguments: Any) -> Any:
    return function(*arguments)


def _run_beside(work: Callable[[Tell], Coroutine[Any, Any, T]]) -> T:
    """The same in a thread of its own. The caller's thread waits, and does the calls that the work asks for: a
    database that belongs to that thread can be written.
    """
    calls: SimpleQueue[tuple[Future, Callable, tuple] | None] = SimpleQueue()
    started: Future[Callable[[], Any]] = Future()

    async def tell(function: Callable, *arguments: Any) -> Any:
        told: Future[Any] = Future()
        calls.put((told, function, arguments))
        return await asyncio.wrap_future(told)

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work(tell)

    with ThreadPoolExecutor(1, "vrsim-calls") as pool:
        outcome = pool.submit(lambda: asyncio.run(main()))
        outcome.add_done_callback(lambda _: calls.put(None))
        try:
            while (call := calls.get()) is not None:
                _answer(*call)
        except BaseException:
            if not outcome.done():
                started.result()()
            raise
    return outcome.result()


def _answer(told: Future, function: Callable, arguments: tuple) -> None:
    if not told.set_running_or_notify_cancel():
        return
    try:
        result = function(*arguments)
    except Exception as error:  # belongs to the work, which decides what it means
        told.set_exception(error)
    else:
        told.set_result(result)

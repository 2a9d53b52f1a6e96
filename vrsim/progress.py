"""Progress of long work: a callback for the code that does it, a bar for the person who waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "progress_bar", "silent", "within"]

Progress = Callable[[float, float, str], None]
"""Called as ``progress(done, total, what)``; ``what`` names the step or says how it goes."""


def silent(done: float, total: float, what: str) -> None:
    """The progress of work that nobody watches."""


def within(progress: Progress, done: int, parts: int, name: str) -> Progress:
    """The progress of one of ``parts``, called ``name``, after ``done`` of them, as a part of the whole."""
    return lambda part, whole, what: progress(done + part / max(1, whole), parts, f"{name}: {what}" if what else name)


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar on standard error while the block runs, with time spent and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[title]}"), BarColumn(24), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, title=title)

        def show(done: float, total: float, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what, refresh=True)

        yield show

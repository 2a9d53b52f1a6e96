"""The Item Perception Agent: from videos and titles to captions, stage by stage (VRAgent-R1, section "IP Agent").

Frames are sampled, the key frames among them are chosen (KFR), frames and title are explained together (CMP), and that
is rewritten for recommending (RRA). Each stage keeps what it made; a run that was killed goes on where it was.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from threading import Event, Thread
from typing import final

from vrsim.errors import DependencyError, VideoError
from vrsim.models.model import PAUSE, Conversation, Model
from vrsim.models.silence import refuse_silence
from vrsim.perception.config import CaptionConfig
from vrsim.perception.describe import Hear
from vrsim.perception.items import Item
from vrsim.perception.key_frames import Scorer
from vrsim.perception.pace import Pace
from vrsim.perception.stages import STAGES, Output, Stages
from vrsim.perception.steps import Row, add_choices, add_frames, describe
from vrsim.progress import Progress, silent

__all__ = ["DESCRIBING", "Arrivals", "Captioning", "caption_items"]

PART = 32  # items that are made ready together: all their frames are in memory
AHEAD = 8  # parts that are made ready before they are wanted: their key frames are in memory
LOOKED = 256  # items that begin one after the other, of which most must have answers
DESCRIBING = ("perception", "caption")  # stages in which a model is asked


@dataclass(frozen=True)
class Captioning:
    """Where the outputs of a run are kept, and which."""

    stages: Stages
    keys: dict[str, str]  # by stage
    until: str = STAGES[-1]  # the last stage that is wanted

    @property
    def wanted(self) -> tuple[str, ...]:
        """The stages that the run goes through."""
        return STAGES[: STAGES.index(self.until) + 1]

    def missing(self, items: Sequence[Item], stage: str) -> list[Item]:
        """The items that lack an output."""
        there = self.stages.has(stage, self.keys[stage], [item.key for item in items])
        return [item for item in items if item.key not in there]

    def outputs(self, items: Sequence[Item], stage: str) -> dict[str, Output]:
        """The outputs that are there, by the items' ids."""
        there = self.stages.get(stage, self.keys[stage], [item.key for item in items])
        return {item.item_id: there[item.key] for item in items if item.key in there}

    def load(self, items: Sequence[Item]) -> list[Row]:
        """What was made of each item so far; frames only of those whose perception is not there yet."""
        outputs = {stage: self.outputs(items, stage) for stage in STAGES}
        rows = [Row(item, {stage: outputs[stage].get(item.item_id) for stage in STAGES}) for item in items]
        for row in rows:
            if row.outputs["frames"] is not None and row.outputs["perception"] is None:
                row.jpegs = self.stages.images(self.keys["frames"], row.item.key)
        return rows

    def keep(self, stage: str, rows: Sequence[Row]) -> None:
        """Keep what one stage made new, for as many items as there are."""
        new = {row.item.key: row for row in rows if stage in row.new}
        images = {key: row.jpegs for key, row in new.items()} if stage == "frames" else {}
        self.stages.put(stage, self.keys[stage], {key: row.outputs[stage] for key, row in new.items()}, images)

    def keep_one(self, stage: str, row: Row) -> None:
        """Keep what a stage made new of an item, unless there was no answer."""
        if not row.failed:
            self.keep(stage, [row])

    def keep_failed(self, rows: Sequence[Row], model: str, items: int) -> None:
        """Keep at the end of a run of so many items those without an answer: one that breaks off asks about them again.

        Raises ModelError if they are more than half of all.
        """
        refuse_silence(model, len(rows), items, fewest=1)
        for stage in DESCRIBING:
            self.keep(stage, rows)


def caption_items(
    items: Sequence[Item],
    config: CaptionConfig,
    run: Captioning,
    model: Model,
    scorer: Scorer | None = None,
    *,
    progress: Progress = silent,
    hear: Hear = lambda completion: None,
    decoders: int = 2,
) -> None:
    """Take every item through the stages, as far as ``run`` wants.

    ``scorer`` is needed where frames are still to be chosen by "clip". So many ``decoders``, processes, read videos:
    those of the next items while the model is asked about these. A video that cannot be read is no error: its output
    says ``error``, and the item is described by its title alone. Raises ModelError where most questions stay without
    an answer, VideoError where a decoder is killed, and what the model, the scorer and ``run.stages`` raise; what was
    made until then is kept.
    """
    missing = run.missing(items, run.until)
    stages = [stage for stage in DESCRIBING if stage in run.wanted]
    pace = Pace(progress, len(items) - len(missing), len(items), len(stages))
    arrivals = Arrivals(run, model.name, pace)
    numbers, over = count(), Event()

    def keep(stage: str, row: Row) -> None:
        run.keep_one(stage, row)
        pace.step()

    def ask(row: Row, number: int) -> Conversation[None]:
        arrivals.take((yield from describe(config, row, stages, hear, keep)), number)

    with ThreadPoolExecutor(1) as ahead, _processes(decoders) as pool:

        def prepare(start: int) -> list[Row]:
            if over.is_set():
                return []
            rows = run.load(missing[start : start + PART])
            _prepare(config, run, scorer, rows, pool)
            return rows

        try:
            rows = _ahead(ahead, prepare, range(0, len(missing), PART))
            if stages and missing:
                model.warm_up()  # while the first videos are decoded
                model.converse(row and ask(row, next(numbers)) for row in rows)
            for row in rows:  # where nothing is asked
                if row is None:
                    time.sleep(PAUSE)
                else:
                    arrivals.take(row, next(numbers))
        except BrokenExecutor as error:
            raise VideoError(
                f"a process that decodes videos ended ({type(error).__name__}), mostly for want of memory; the same "
                "command goes on, with fewer --decoders if it happens again"
            ) from error
        finally:  # also where something is raised, or somebody interrupts: nobody waits for the next items then
            over.set()
    arrivals.end(len(items))


@final
class Arrivals:
    """Takes the items that have been through all stages, and says when a model is out of order."""

    def __init__(self, run: Captioning, model: str, pace: Pace) -> None:
        self._run, self._model, self._pace = run, model, pace
        self._failed: list[Row] = []
        self._blocks: dict[int, list[bool]] = {}  # whether there was no answer, of items that began together

    def take(self, row: Row, number: int) -> None:
        """``number``: of items that began before; those without an answer are through sooner than others.

        Raises ModelError where most of the items that began together have no answer.
        """
        self._failed += [row] * row.failed
        block = self._blocks.setdefault(number // LOOKED, [])
        block.append(row.failed)
        if len(block) == LOOKED:
            refuse_silence(self._model, sum(self._blocks.pop(number // LOOKED)), LOOKED)
        self._pace.leave()

    def end(self, items: int) -> None:
        """Keep what failed of a run of so many items. Raises ModelError if that is more than half of them."""
        self._run.keep_failed(self._failed, self._model, items)


@contextmanager
def _processes(decoders: int) -> Iterator[Executor]:
    """Processes, started where there is work for them; killed at the end, also in the middle of their work.

    Threads would decode short clips one after the other: much of that work is Python's. Processes of loky do not need
    a ``__main__`` that can be imported.
    """
    try:
        from loky import ProcessPoolExecutor
    except ImportError as error:
        raise DependencyError(f"captions need loky ({error}); install it with pip install 'vrsim[video]'") from None
    pool = ProcessPoolExecutor(decoders, initializer=_serve, initargs=(os.getpid(),))
    try:
        yield pool
    finally:
        pool.shutdown(kill_workers=True)


def _serve(run: int) -> None:
    """A decoder leaves Ctrl-C to the process of the run, and ends soon after it, also after a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == run:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _prepare(
    config: CaptionConfig, run: Captioning, scorer: Scorer | None, rows: Sequence[Row], pool: Executor
) -> None:
    """Sample the frames of a few items, and choose among them."""
    add_frames(config, rows, pool.map)
    run.keep("frames", rows)
    if "choice" in run.wanted:
        add_choices(config, scorer, rows)
        run.keep("choice", rows)
        for row in rows:
            row.jpegs = {place: row.jpegs[place] for place in row.outputs["choice"]["places"] if row.jpegs}


def _ahead(
    pool: ThreadPoolExecutor, prepare: Callable[[int], list[Row]], starts: Sequence[int]
) -> Iterator[Row | None]:
    """The rows of all parts, of which the first are made ready from now on; None = the next is not ready yet."""
    more = iter(starts)
    waiting = deque(pool.submit(prepare, start) for start in islice(more, AHEAD))

    def rows() -> Iterator[Row | None]:
        while waiting:
            if not waiting[0].done():
                yield None
                continue
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(prepare, start) for start in islice(more, 1))

    return rows()

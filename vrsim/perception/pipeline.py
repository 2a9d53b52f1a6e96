"""The Item Perception Agent: from videos and titles to captions, stage by stage (VRAgent-R1, section "IP Agent").

Frames are sampled, the key frames among them are chosen (KFR), frames and title are explained together (CMP), and that
is rewritten for recommending (RRA). Each stage keeps what it made; a run that was killed goes on where it was.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from vrsim.errors import DependencyError, VideoError
from vrsim.models.model import Completion, Model
from vrsim.models.silence import refuse_silence
from vrsim.perception.config import CaptionConfig
from vrsim.perception.describe import Hear
from vrsim.perception.items import Item
from vrsim.perception.key_frames import Scorer
from vrsim.perception.pace import Pace
from vrsim.perception.stages import STAGES, Output, Stages
from vrsim.perception.steps import Row, add_captions, add_choices, add_frames, add_perceptions
from vrsim.progress import Progress, silent

__all__ = ["DESCRIBING", "Captioning", "caption_items"]

FIRST, CHUNK = 64, 512  # items whose key frames are in memory at once; twice, as the next ones are made ready meanwhile
SCORED = 32  # items all of whose frames are
DESCRIBING = {"perception": add_perceptions, "caption": add_captions}  # stages in which a model is asked


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
    pace = Pace(progress, len(items) - len(missing), len(items))
    describing = [stage for stage in DESCRIBING if stage in run.wanted]
    failed: list[Row] = []
    over = Event()

    def heard(completion: Completion) -> None:
        hear(completion)
        pace.hear(completion)

    with ThreadPoolExecutor(1) as ahead, _processes(decoders) as pool:

        def prepare(part: Sequence[Item]) -> list[Row]:
            rows = run.load(part)
            for start in range(0, len(rows), SCORED):
                if not over.is_set():
                    _prepare(config, run, scorer, rows[start : start + SCORED], pool)
            return rows

        try:
            for rows in _ahead(ahead, prepare, _parts(missing)):
                pace.take(len(rows), len(rows) * len(describing))
                for stage in describing:
                    DESCRIBING[stage](config, model, rows, heard)
                    run.keep(stage, [row for row in rows if not row.failed])
                    refuse_silence(model.name, sum(row.failed for row in rows), len(rows))
                failed += [row for row in rows if row.failed]
                pace.leave()
        except BrokenExecutor as error:
            raise VideoError(
                f"a process that decodes videos ended ({type(error).__name__}), mostly for want of memory; the same "
                "command goes on, with fewer --decoders if it happens again"
            ) from error
        finally:  # also where something is raised, or somebody interrupts: nobody waits for the next items then
            over.set()
    run.keep_failed(failed, model.name, len(items))


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Processes, started where there is work for them; killed at the end, also in the middle of their work.

    Threads would decode short clips one after the other: much of that work is Python's. Processes of loky do not need
    a ``__main__`` that can be imported.
    """
    try:
        from loky import ProcessPoolExecutor
    except ImportError as error:
        raise DependencyError(f"captions need loky ({error}); install it with pip install 'vrsim[video]'") from None
    pool = ProcessPoolExecutor(count, initializer=_serve, initargs=(os.getpid(),))
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


def _parts(items: Sequence[Item]) -> list[Sequence[Item]]:
    """The items in parts, a small one first: the model need not wait long for it."""
    parts, at, size = [], 0, FIRST
    while at < len(items):
        parts.append(items[at : at + size])
        at, size = at + size, min(2 * size, CHUNK)
    return parts


def _ahead(
    pool: ThreadPoolExecutor, prepare: Callable[[Sequence[Item]], list[Row]], parts: Sequence[Sequence[Item]]
) -> Iterator[list[Row]]:
    """Each part prepared, the next one while this one is used."""
    waiting = [pool.submit(prepare, part) for part in parts[:1]]
    for following in [*parts[1:], None]:
        if not waiting:
            return
        rows = waiting.pop().result()
        if following is not None:
            waiting.append(pool.submit(prepare, following))
        yield rows

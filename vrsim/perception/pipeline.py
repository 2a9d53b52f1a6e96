"""The Item Perception Agent: from videos and titles to captions, stage by stage (VRAgent-R1, section "IP Agent").

Frames are sampled, the key frames among them are chosen (KFR), frames and title are explained together (CMP), and that
is rewritten for recommending (RRA). Each stage keeps what it made; a run that was killed goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vrsim.models.model import Completion, Model
from vrsim.perception.config import CaptionConfig
from vrsim.perception.items import Item
from vrsim.perception.key_frames import Scorer
from vrsim.perception.stages import STAGES, Stages
from vrsim.perception.steps import Row, add_captions, add_choices, add_frames, add_perceptions
from vrsim.progress import Progress, silent

__all__ = ["Captioning", "Hear", "caption_items"]

FIRST, CHUNK = (
    64,
    512,
)  # items whose key frames are in memory at once; twice, because the next ones are made ready meanwhile

Hear = Callable[[Completion], None]
"""Called with each completion as soon as it is there, for a ledger."""


@dataclass(frozen=True)
class Captioning:
    """Where the outputs of a run are kept, and which."""

    stages: Stages
    keys: dict[str, str]  # by stage
    until: str = STAGES[-1]  # the last stage that is wanted

    def missing(self, items: Sequence[Item]) -> list[Item]:
        """The items that lack the last output."""
        there = self.stages.has(self.until, self.keys[self.until], [item.item_id for item in items])
        return [item for item in items if item.item_id not in there]

    def load(self, items: Sequence[Item]) -> list[Row]:
        """What was made of each item so far; frames only of those whose perception is not there yet."""
        ids = [item.item_id for item in items]
        outputs = {stage: self.stages.get(stage, self.keys[stage], ids) for stage in STAGES}
        rows = [Row(item, {stage: outputs[stage].get(item.item_id) for stage in STAGES}) for item in items]
        for row in rows:
            if row.outputs["frames"] is not None and row.outputs["perception"] is None:
                row.jpegs = self.stages.images(self.keys["frames"], row.item.item_id)
        return rows

    def keep(self, stage: str, rows: Sequence[Row]) -> None:
        """Keep what one stage made new, for as many items as there are."""
        new = {row.item.item_id: row for row in rows if stage in row.new}
        images = {item: row.jpegs for item, row in new.items()} if stage == "frames" else {}
        self.stages.put(stage, self.keys[stage], {item: row.outputs[stage] for item, row in new.items()}, images)


def caption_items(
    items: Sequence[Item],
    config: CaptionConfig,
    run: Captioning,
    model: Model,
    scorer: Scorer | None = None,
    *,
    progress: Progress = silent,
    hear: Hear = lambda completion: None,
    threads: int = 2,
) -> None:
    """Take every item through the stages, as far as ``run`` wants.

    ``scorer`` is needed where frames are still to be chosen by "clip". ``threads`` decode videos, of the next items
    while the model is asked about these. A video that cannot be read is no error: its output says ``error``, and the
    item is described by its title alone. Raises what the model, the scorer and ``run.stages`` raise; what was made
    until then is kept.
    """
    missing = run.missing(items)
    done = len(items) - len(missing)
    progress(done, len(items), run.until)
    wanted = STAGES[: STAGES.index(run.until) + 1]
    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(threads) as decoders:

        def prepare(part: Sequence[Item]) -> list[Row]:
            rows = run.load(part)
            add_frames(config, rows, decoders.map)
            run.keep("frames", rows)
            if "choice" in wanted:
                add_choices(config, scorer, rows)
                run.keep("choice", rows)
                for row in rows:
                    row.jpegs = {place: row.jpegs[place] for place in row.outputs["choice"]["places"] if row.jpegs}
            return rows

        for rows in _ahead(ahead, prepare, _parts(missing)):
            for stage, add in (("perception", add_perceptions), ("caption", add_captions)):
                if stage in wanted:
                    progress(done, len(items), stage)
                    add(config, model, rows, hear)
                    run.keep(stage, rows)
            done += len(rows)
            progress(done, len(items), run.until)


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

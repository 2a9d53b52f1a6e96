"""The four stages of captioning: each adds to the items what is missing, the last two in conversations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.errors import VideoError
from vrsim.models.model import Completion, Conversation
from vrsim.perception.config import QUALITY, CaptionConfig
from vrsim.perception.describe import Caption, Hear, Perception, Video, caption, perceive
from vrsim.perception.frames import sample_frames
from vrsim.perception.items import Item
from vrsim.perception.key_frames import Candidates, Scorer, key_frames
from vrsim.perception.stages import Output

__all__ = ["Row", "add_choices", "add_frames", "describe", "file_of", "pixels"]

UNSEEN = np.zeros((1, 1, 3), np.uint8)  # stands for a frame that nobody looks at


@dataclass(eq=False)
class Row:
    """One item on its way through the stages."""

    item: Item
    outputs: dict[str, Output | None]  # by stage, None = not there yet
    jpegs: dict[int, bytes] = field(default_factory=dict)  # its frames by place in the order of time
    new: list[str] = field(default_factory=list)  # stages whose output was made here
    heard: list[Completion] = field(default_factory=list)  # what the model answered here

    def add(self, stage: str, output: Output) -> None:
        self.outputs[stage] = output
        self.new.append(stage)

    @property
    def failed(self) -> bool:
        """Whether the model did not answer a question about it, which it may do next time."""
        return any("failed" in (self.outputs[stage] or {}).get("flags", ()) for stage in ("perception", "caption"))


def file_of(config: CaptionConfig, item: Item) -> Path | None:
    """The file that is looked at; a cover also stands for a video that is not there."""
    return item.cover if config.choose == "cover" else item.video or item.cover


def add_frames(config: CaptionConfig, rows: Sequence[Row], run: Callable[..., Iterable[Any]] = map) -> None:
    """Sample the frames of each item; ``run`` maps a function over items, as ``map`` does."""
    missing = [row for row in rows if row.outputs["frames"] is None]
    found = run(partial(_sample, config), [row.item for row in missing])
    for row, (output, jpegs) in zip(missing, found, strict=True):
        row.jpegs = dict(enumerate(jpegs))
        row.add("frames", output)


def _sample(config: CaptionConfig, item: Item) -> tuple[Output, list[bytes]]:
    """What is known of an item's frames, and the frames; none where there is no video, or none that can be read."""
    file = file_of(config, item)
    if file is None:
        return {"error": "there is no cover" if config.choose == "cover" else "there is no video"}, []
    try:
        frames = sample_frames(file, config.frames, size=config.size, threads=1, limit_s=config.limit_s)
    except VideoError as error:
        return {"file": file.name, "error": str(error).replace(str(file), file.name)}, []
    times, duration = frames.times.round(3).tolist(), round(frames.duration, 3)
    output = {"file": file.name, "times": times, "duration": duration, "notes": list(frames.notes)}
    return output, [_jpeg(image) for image in frames.images]


def add_choices(config: CaptionConfig, scorer: Scorer | None, rows: Sequence[Row]) -> None:
    """KFR: the places of the key frames among those sampled, and the scores of all."""
    missing = [row for row in rows if row.outputs["choice"] is None]
    scored = config.choose == "clip"
    asked = [
        Candidates(
            row.item.item_id, row.item.title, [pixels(jpeg) if scored else UNSEEN for jpeg in row.jpegs.values()]
        )
        for row in missing
    ]
    found = key_frames(asked, config.choose, count=config.keep, scorer=scorer, seed=config.seed)
    for row, chosen in zip(missing, found, strict=True):
        output = {"way": chosen.way, "places": chosen.places.tolist()}
        if chosen.scores is not None:
            output["scores"] = chosen.scores.astype(float).round(4).tolist()
        row.add("choice", output)


def describe(
    config: CaptionConfig,
    row: Row,
    stages: Sequence[str],
    hear: Hear,
    keep: Callable[[str, Row], None] = lambda stage, row: None,
) -> Conversation[Row]:
    """CMP and RRA: asks what the model perceives in an item's key frames and title, and for the caption of that.

    ``keep`` is called with each of the two stages as soon as it is done.
    """
    if "perception" in stages and row.outputs["perception"] is None:
        frames = tuple(row.jpegs[at] for at in row.outputs["choice"]["places"])
        _say(row, "perception", (yield from perceive(Video(row.item.title, frames), config.describe, hear)))
        keep("perception", row)
    if "caption" in stages and row.outputs["caption"] is None:
        seen = row.outputs["perception"]
        perception = Perception(row.item.title, seen["text"], tuple(seen["flags"]))
        _say(row, "caption", (yield from caption(perception, config.describe, hear)))
        keep("caption", row)
    return row


def _say(row: Row, stage: str, made: Perception | Caption) -> None:
    row.heard += made.replies
    row.add(stage, {"text": made.text, "flags": list(made.flags), "replies": [reply.text for reply in made.replies]})


def _jpeg(image: np.ndarray) -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def pixels(jpeg: bytes) -> np.ndarray:
    """uint8 (height, width, 3)."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(jpeg)).convert("RGB"))

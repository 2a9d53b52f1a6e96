"""What a model is told when it describes videos, word for word, with a version and a hash.

The words of an instruction hold no data. Another wording is another version: captions may change.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from vrsim.text.templates import QUOTED

__all__ = ["ANALYSE", "FRAMES", "INSTRUCTIONS", "PERCEIVE", "SHORTEN", "TITLE", "Instruction"]


@dataclass(frozen=True)
class Instruction:
    """One question; ``{title}``, ``{perception}``, ``{limit}`` and ``{count}`` stand for what is known of a video."""

    name: str
    version: int
    system: str
    words: str

    @property
    def hash(self) -> str:
        """SHA-256 of every word."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def id(self) -> str:
        """Name and version, for example ``perceive-v1``."""
        return f"{self.name}-v{self.version}"


SYSTEM = f"You study videos for a recommender system. {QUOTED}"

PERCEIVE = Instruction(
    name="perceive",
    version=1,
    system=SYSTEM,
    words=(
        "The images are frames of one video, in the order of time. Its title: {title}\n\n"
        "Explain the video to somebody who has not seen it. Look at the frames and the title together: what the title "
        "implies; who and what is shown, and where; what happens; the genre and the mood; and how the frames bear out "
        "what the title says. Say only what frames or title support. Write one paragraph."
    ),
)
FRAMES = Instruction(
    name="frames",
    version=1,
    system=SYSTEM,
    words=(
        "The images are frames of one video, in the order of time.\n\n"
        "Explain the video to somebody who has not seen it: who and what is shown, and where; what happens; the genre "
        "and the mood. Say only what the frames support. Write one paragraph."
    ),
)
TITLE = Instruction(
    name="title",
    version=1,
    system=SYSTEM,
    words=(
        "The title of a video: {title}\n\n"
        "Explain what the title implies: who or what the video is about, what may happen in it, the genre and the "
        "mood. Say only what the title supports. Write one paragraph."
    ),
)
ANALYSE = Instruction(
    name="analyse",
    version=1,
    system=SYSTEM,
    words=(
        "What is known of a video.\nIts title: {title}\nIts analysis: {perception}\n\n"
        "Rewrite the analysis as a caption for a recommender system: what makes somebody want to watch this video, or "
        "not. Keep the people and things it is about, what happens, the genre and the mood; leave out what no viewer "
        "cares about. Write at most {limit} words, in the language of the title, and nothing but the caption."
    ),
)
SHORTEN = Instruction(
    name="shorten",
    version=1,
    system=SYSTEM,
    words="That has {count} words. Write it again in at most {limit} words, and nothing but the caption.",
)

INSTRUCTIONS = (PERCEIVE, FRAMES, TITLE, ANALYSE, SHORTEN)

"""How items are captioned, and what the outputs of each stage depend on."""

import hashlib
import json
from dataclasses import asdict, dataclass, field

from vrsim.errors import OptionError, UnknownNameError
from vrsim.perception.describe import DescribeConfig
from vrsim.perception.frames import LONGER_SIDE
from vrsim.perception.instructions import INSTRUCTIONS
from vrsim.perception.key_frames import COUNT, WAYS
from vrsim.perception.stages import STAGES

__all__ = ["QUALITY", "CaptionConfig", "keys_of"]

QUALITY = 90  # of the JPEG files


@dataclass(frozen=True)
class CaptionConfig:
    """The defaults are the paper's; the ways to choose frames and the switches of ``describe`` are its ablations."""

    frames: int = 16  # sampled from each video, at even distances
    keep: int = COUNT  # key frames that the model sees
    choose: str = "clip"  # clip (KFR), uniform (the released code), random (no KFR: adjacent frames), cover
    size: int = LONGER_SIDE  # pixels of a frame's longer side at most
    limit_s: float = 60.0  # seconds for one video, after which it counts as broken
    seed: int = 0  # of random frames
    describe: DescribeConfig = field(default_factory=DescribeConfig)

    def __post_init__(self) -> None:
        for name in ("frames", "keep", "size"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise OptionError(f"{name} must be an integer from 1, found {getattr(self, name)!r}")
        if self.choose not in WAYS:
            raise UnknownNameError("way to choose frames", self.choose, WAYS)
        if isinstance(self.limit_s, bool) or not isinstance(self.limit_s, int | float) or not self.limit_s > 0:
            raise OptionError(f"limit_s must be a number of seconds above 0, found {self.limit_s!r}")


def keys_of(config: CaptionConfig, scorer: str, model: str) -> dict[str, str]:
    """What the outputs of each stage are kept under: a hash of the settings that can change them.

    ``scorer`` and ``model`` name those. A stage depends on all that come before it.
    """
    describe = config.describe
    settings = {
        "frames": [config.choose == "cover", config.frames, config.size, QUALITY],
        "choice": [config.choose, config.keep, config.seed, scorer if config.choose == "clip" else ""],
        "perception": [
            model,
            describe.cmp,
            asdict(describe.perception),
            {instruction.id: instruction.hash for instruction in INSTRUCTIONS},
        ],
        "caption": [describe.rra, describe.limit, asdict(describe.caption)],
    }
    keys, before = {}, ""
    for stage in STAGES:
        before = hashlib.sha256(json.dumps([before, settings[stage]], sort_keys=True).encode()).hexdigest()[:16]
        keys[stage] = before
    return keys

"""From key frames and a title to a caption, in the two language steps of VRAgent-R1's Item Perception Agent.

``perceive`` is its collaborative multimodal perception (CMP): frames and title together, explained at length.
``caption`` is its recommendation-relevant analysis (RRA): the same model rewrites that for recommending, in 35 words.
Both are conversations about one video: ``model.converse(perceive(video, config) for video in videos)`` has them.
An answer that says nothing about the video is data, not an error: it is flagged, and the caption is the title.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from vrsim.errors import OptionError
from vrsim.models.model import Completion, Conversation, Prompt, Sampling
from vrsim.perception.answers import faults, said
from vrsim.perception.instructions import ANALYSE, FRAMES, PERCEIVE, SHORTEN, TITLE, Instruction
from vrsim.perception.words import count_words, cut_words
from vrsim.text.quoting import quote

__all__ = ["Caption", "DescribeConfig", "Hear", "Perception", "Video", "caption", "perceive"]

LONGEST = 8000  # characters of a perception that are quoted
NO_TITLE = "(none)"

Hear = Callable[[Completion], None]
"""Called with each completion as soon as it is there, for a ledger. What it raises ends the work, as Done's."""


@dataclass(frozen=True)
class DescribeConfig:
    """How videos are described. The defaults are the paper's; the switches its ablations."""

    cmp: bool = True  # frames and title go to the model together; False: apart, and the two texts are joined
    rra: bool = True  # the text is rewritten for recommending; False: the long text is the caption
    limit: int = 35  # words of a caption
    perception: Sampling = field(default_factory=Sampling)
    caption: Sampling = field(default_factory=partial(Sampling, max_tokens=128))

    def __post_init__(self) -> None:
        if type(self.limit) is not int or self.limit < 1:
            raise OptionError(f"limit must be a number of words from 1, found {self.limit!r}")
        for name in ("perception", "caption"):
            if not getattr(self, name).max_tokens:
                raise OptionError(f"{name} needs max_tokens above 0: it is a text")


@dataclass(frozen=True)
class Video:
    """What the model is given of one item."""

    title: str  # "" = none
    frames: tuple[bytes, ...] = ()  # key frames in the order of time, JPEG or PNG files; none = the title alone


@dataclass(frozen=True)
class Perception:
    """What a model perceives in a video."""

    title: str  # the video's
    text: str  # the answers that are of use, tidied and joined by a blank; "" = none is
    flags: tuple[str, ...] = ()  # "failed", "empty", "refused", "repeats": an answer of no use; "unfinished": one that
    # was cut at max_tokens; "nothing": neither title nor frames
    replies: tuple[Completion, ...] = field(default=(), repr=False)  # as they came; apart: of the frames, of the title


@dataclass(frozen=True)
class Caption:
    """What recommenders and simulated users read of a video."""

    text: str
    words: int
    flags: tuple[str, ...] = ()  # those of Perception; "title" = it is the title alone; "again" = the first answer was
    # too long; "cut" = so was the second
    replies: tuple[Completion, ...] = field(default=(), repr=False)  # as they came: one or two


def perceive(video: Video, config: DescribeConfig, hear: Hear = lambda completion: None) -> Conversation[Perception]:
    """Asks what there is in a video.

    A video without frames is explained from its title, one without a title from its frames; one with neither is not
    asked about and flagged "nothing".
    """
    replies = []
    for prompt in _questions(video, config.cmp):
        replies.append((yield prompt, config.perception))
        hear(replies[-1])
    return _perception(video, replies)


def caption(
    perception: Perception, config: DescribeConfig, hear: Hear = lambda completion: None
) -> Conversation[Caption]:
    """Asks for the caption of a video.

    An answer above the limit is asked again once, then cut. Where perception or answer is of no use, the caption is
    the title, however long it is.
    """
    replies: list[Completion] = []
    if perception.text and config.rra:
        prompt = _rewrite(perception, config.limit)
        replies.append((yield prompt, config.caption))
        hear(replies[-1])
        if not faults(replies[0]) and count_words(said(replies[0])) > config.limit:
            replies.append((yield _shorten(prompt, replies[0], config.limit), config.caption))
            hear(replies[-1])
    return _caption(perception, replies, config)


def _questions(video: Video, together: bool) -> list[Prompt]:
    titled = bool(video.title.strip())
    if titled and video.frames and together:
        return [_prompt(PERCEIVE, video, video.frames)]
    return [_prompt(FRAMES, video, video.frames)] * bool(video.frames) + [_prompt(TITLE, video)] * titled


def _prompt(instruction: Instruction, video: Video, images: tuple[bytes, ...] = ()) -> Prompt:
    words = instruction.words.replace("{title}", _title(video.title))
    return Prompt((("system", instruction.system), ("user", words)), images=images)


def _title(title: str) -> str:
    return quote(title) if title.strip() else NO_TITLE


def _rewrite(perception: Perception, limit: int) -> Prompt:
    before, _, behind = ANALYSE.words.partition("{perception}")  # a title that says "{perception}" is left alone
    words = before.replace("{title}", _title(perception.title)) + quote(perception.text, LONGEST)
    return Prompt((("system", ANALYSE.system), ("user", words + behind.replace("{limit}", str(limit)))))


def _shorten(prompt: Prompt, answer: Completion, limit: int) -> Prompt:
    words = said(answer)
    again = SHORTEN.words.replace("{count}", str(count_words(words))).replace("{limit}", str(limit))
    return Prompt((*prompt.messages, ("assistant", words), ("user", again)))


def _perception(video: Video, replies: list[Completion]) -> Perception:
    good = [reply for reply in replies if not faults(reply)]
    flags = [flag for reply in replies for flag in faults(reply)]
    flags += ["unfinished"] * any(reply.finish == "length" for reply in good)
    flags += ["nothing"] * (not replies)
    return Perception(video.title, " ".join(map(said, good)), tuple(dict.fromkeys(flags)), tuple(replies))


def _caption(perception: Perception, replies: list[Completion], config: DescribeConfig) -> Caption:
    good = [reply for reply in replies if not faults(reply)]
    flags = [*perception.flags, *(flag for reply in replies for flag in faults(reply))]
    flags += ["again"] * (len(replies) > 1)
    if config.rra:
        text = said(good[-1]) if good else ""
        flags += ["cut"] * (count_words(text) > config.limit)
        text = cut_words(text, config.limit)
    else:
        text = perception.text
    if not text:
        flags.append("title")
        text = " ".join(perception.title.split())
    return Caption(text, count_words(text), tuple(dict.fromkeys(flags)), tuple(replies))

"""From completions to decisions: by what a reply says, or by how probable each answer is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vrsim.agent import Decisions, Reading
from vrsim.agents.calibration import Calibration
from vrsim.errors import ModelError
from vrsim.models.model import Completion, Prompt
from vrsim.text.replies import NO_ANSWER, labels_of, read_reply, tagged
from vrsim.text.writer import Written

__all__ = ["YES_NO", "by_probability", "by_words", "by_yes", "option_chances", "read_as", "with_seconds"]

YES_NO = labels_of("judgment", 2)


def by_words(written: Written, completions: Sequence[Completion], reasoning: bool | None) -> Decisions:
    """Decisions by the lenient reading of the replies; ``reasoning``: a well-formed one thinks first, None = it may.

    A reply that cannot be read falls back to action 0, is invalid and counts as wrong.
    """
    replies = []
    for completion in completions:
        thinks = "<think>" in completion.text if reasoning is None else reasoning
        replies.append(read_reply(completion.text, written.labels, thinks))
    choice = np.array([reply.choice for reply in replies], np.int64)
    valid = choice != NO_ANSWER
    action = np.where(valid, written.places(np.maximum(choice, 0)), 0)
    well_formed = np.array([reply.well_formed for reply in replies], bool)
    texts = [completion.text for completion in completions]
    return Decisions(action, valid, texts, reading=read_as(written.prompts, completions, well_formed, written.cut))


def by_probability(
    written: Written,
    completions: Sequence[Completion],
    n_items: int,
    reasoning: bool = False,
    calibration: Calibration | None = None,
    rivals: np.ndarray | None = None,
) -> Decisions:
    """Decisions for the most probable answer, after ``calibration``, beside ``rivals`` float (B,) where it has any.

    Labels are weighed against each other. Of titles as answers, the most probable one is selected; one alone is judged
    by Bayes' rule: it is either this user's next title or any of ``n_items``, both with probability 1/2. An answer
    without probabilities is invalid; raises ModelError for a model that tells none.
    """
    _need_probabilities(completions, "leave out answer=probability")
    chances = option_chances(completions, len(written.prompts[0].options))
    titles = written.prompts[0].options[0] not in written.labels
    total = chances.sum(axis=1, keepdims=True) + (1 / n_items if chances.shape[1] == 1 else 0)
    valid = chances.sum(axis=1) > 0
    shares = np.divide(chances, total, out=np.full(chances.shape, 1 / max(2, chances.shape[1])), where=valid[:, None])
    if calibration is not None:
        shares = calibration(shares, rivals)
    if written.order.shape[1] == 1:
        probability = shares[:, -1:]  # of Yes, or of the title
        action = np.where(valid, probability[:, 0] >= 0.5, 0).astype(np.int64)
    else:
        probability = written.unshuffled(shares)
        action = np.where(valid, probability.argmax(axis=1), 0)
    places = [written.shown(chosen, row) for row, chosen in enumerate(action.tolist())]  # equals: as the action has it
    if titles:
        answers = [prompt.options if chances.shape[1] > 1 else YES_NO for prompt in written.prompts]
        texts = [options[place].strip() for options, place in zip(answers, places, strict=True)]
        well_formed = valid  # nothing is written
    else:
        said = [written.labels[place] for place in places]
        texts = [_answered(completion.text, label) for completion, label in zip(completions, said, strict=True)]
        well_formed = np.array([read_reply(text, written.labels, reasoning).well_formed for text in texts], bool)
    texts = [
        text if good else completion.text for text, good, completion in zip(texts, valid, completions, strict=True)
    ]
    well_formed = well_formed & valid
    return Decisions(action, valid, texts, probability, read_as(written.prompts, completions, well_formed, written.cut))


def _need_probabilities(completions: Sequence[Completion], hint: str) -> None:
    if any(completion.logprobs is None and completion.finish != "failed" for completion in completions):
        raise ModelError(f"the model tells no probabilities of its answers; {hint}")


def _answered(text: str, label: str) -> str:
    """What was written, with the answer that was weighed after it."""
    return f"{text}{label}</answer>" if text.endswith("<answer>") else text or tagged(label)


def by_yes(
    prompts: Sequence[Prompt], completions: Sequence[Completion], slates: np.ndarray, cut: np.ndarray
) -> Decisions:
    """Decisions by how probable Yes is beside No, one prompt per item of the slates int64 (B, K), row by row.

    The options of the prompts are ``YES_NO``. A judgment is Yes from 1/2 on; a selection takes the item with the most
    probable Yes, the first one of equals, and the shares of all are its probabilities. Where some item has no
    probabilities the decision is action 0 and invalid. ``cut`` is int64 (B * K,). Raises ModelError if the model gives
    none at all.
    """
    _need_probabilities(completions, "take one that does")
    size = slates.shape[1]
    chances = option_chances(completions, len(YES_NO))
    total = chances.sum(axis=1)
    yes = np.divide(chances[:, 1], total, out=np.full(len(total), np.nan), where=total > 0).reshape(slates.shape)
    valid = ~np.isnan(yes).any(axis=1)
    known = np.where(valid[:, None], yes, 0.5)
    if size == 1:
        action, probability = (known[:, 0] >= 0.5).astype(np.int64), known
    else:
        action = known.argmax(axis=1)
        floor = known + 1e-12  # all of them may be 0
        probability = floor / floor.sum(axis=1, keepdims=True)
    action = np.where(valid, action, 0)
    told = [", ".join("unknown" if np.isnan(p) else f"{p:.4f}" for p in row) for row in yes.tolist()]
    texts = [f"Yes: {words}" if size == 1 else f"Yes by place in the slate: {words}" for words in told]
    told = [prompt.words for prompt in prompts]
    words = ["\n\n".join(told[row * size : (row + 1) * size]) for row in range(len(slates))]
    seconds = np.array([completion.seconds for completion in completions], float).reshape(slates.shape).sum(axis=1)
    dropped = np.array([completion.dropped > 0 for completion in completions])
    reading = Reading(words, valid, np.maximum(cut, dropped).reshape(slates.shape).max(axis=1), seconds)
    return Decisions(action, valid, texts, probability, reading)


def with_seconds(decisions: Decisions, seconds: np.ndarray) -> Decisions:
    """The same decisions after more time of the model, float (B,)."""
    return replace(decisions, reading=replace(decisions.reading, seconds=decisions.reading.seconds + seconds))


def option_chances(completions: Sequence[Completion], n_options: int) -> np.ndarray:
    """The probability of each option as continuation, float (B, options); 0 where the model told none.

    Several options are weighed against the most probable of them, which gets 1: those of long titles would all be 0.
    """
    silent = (-np.inf,) * n_options
    logs = np.array([completion.logprobs or silent for completion in completions], float)
    if n_options > 1:
        best = logs.max(axis=1, keepdims=True)
        logs = logs - np.where(np.isfinite(best), best, 0.0)
    return np.exp(logs)


def read_as(
    prompts: Sequence[Prompt], completions: Sequence[Completion], well_formed: np.ndarray, cut: np.ndarray
) -> Reading:
    """What was asked, and how the replies looked; a prompt that the model had to cut counts as cut."""
    dropped = np.array([completion.dropped > 0 for completion in completions])
    seconds = np.array([completion.seconds for completion in completions], float)
    return Reading([prompt.words for prompt in prompts], well_formed, np.maximum(cut, dropped), seconds)

"""Supervised fine-tuning: the model learns to write the right reply to each question."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.errors import TrainingError
from vrsim.models.names import ModelSpec, make_model
from vrsim.models.tokens import Tokens
from vrsim.progress import Progress, silent
from vrsim.text.replies import tagged
from vrsim.text.templates import US_AGENT_DIRECT
from vrsim.training.config import SftConfig
from vrsim.training.examples import Example, Questions
from vrsim.training.run import Session, carry_out, common_settings
from vrsim.training.teacher import teach
from vrsim.training.traces import TemplateReasoner, mixed

__all__ = ["train_sft"]

MAX_TOKENS = 256  # of a reply that reasons
TRIES = 4  # replies of a teacher to one question
NO_LOSS = -100


def train_sft(config: SftConfig, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Teach a model the right replies; returns the card of the model in ``out/model``.

    The same call goes on with a run that was killed. Raises TrainingError and what worlds and models raise.
    """
    return carry_out("sft", config, out, _trainer, MAX_TOKENS, progress)


def _trainer(session: Session, callbacks: list[Any]) -> Any:
    from trl import SFTConfig, SFTTrainer

    from vrsim.training.trainers import LedTrainer

    config: SftConfig = session.config
    drawn = {} if config.examples else {"train_sampling_strategy": "sequential"}  # the rows are in their order already
    make = partial(LedTrainer, lead=round(config.lead_share * config.steps), warmup=config.warmup)
    return (make if config.lead else SFTTrainer)(
        session.learner.model,
        SFTConfig(**common_settings(session), **drawn, max_length=None),
        train_dataset=_data_set(session),
        processing_class=session.learner.tokenizer,
        callbacks=callbacks,
    )


def _data_set(session: Session) -> Any:
    """One row per sequence: its tokens, and the labels that the loss is taken on."""
    from datasets import Dataset

    tokens, end = Tokens(session.learner.tokenizer, None), session.learner.tokenizer.eos_token_id
    pairs = _pairs(session)
    texts = tokens.training_texts([example.prompt for example, _ in pairs])
    replies = tokens.going_on([reply for _, reply in pairs])
    made = []
    for (_, ids, _), reply in zip(texts, replies, strict=True):
        made.append({"input_ids": [*ids, *reply, end], "labels": [NO_LOSS] * len(ids) + [*reply, end]})
    return Dataset.from_list(made)


def _pairs(session: Session) -> list[tuple[Example, str]]:
    """All questions with the replies to learn, in the order in which they are learned."""
    config: SftConfig = session.config
    total = config.examples or config.steps * config.batch
    first = round(config.lead_share * config.steps) * config.batch if config.lead else 0
    return (_drawn(_led(session), first) if first else []) + _drawn(session, total - first)


def _led(session: Session) -> Session:
    """The session with the questions of the protocol that comes first, about no other users."""
    own, lead = session.questions, session.config.lead
    questions = Questions(session.world, replace(session.config, protocol=lead, lead=""), own.model)
    questions.users = np.intersect1d(questions.users, own.users)
    if not len(questions.users):
        raise TrainingError(f"the protocols {lead!r} and {session.config.protocol!r} share no training user; set lead=")
    return replace(session, questions=questions)


def _drawn(session: Session, total: int) -> list[tuple[Example, str]]:
    """Questions of one protocol with the replies to learn.

    Where the prompt asks for reasoning, a share of the replies reasons. The others answer the prompt that asks for
    none: too many written-out reasons raise the training reward and hurt the test (MLLMRec-R1, 2026).
    """
    config: SftConfig = session.config
    if session.questions.agent != "us-agent":
        examples = islice(_questions(session, session.writer(MAX_TOKENS)), total)
        return [(example, example.labels[example.right]) for example in examples]
    reasons = session.template.reasoning
    plain = _questions(session, session.writer(MAX_TOKENS, US_AGENT_DIRECT if reasons else None))
    carries = mixed(total, config.reasoning if reasons else 0.0, config.seed)
    thinking = list(islice(_questions(session, session.writer(MAX_TOKENS)), sum(carries)))
    thoughts = iter(zip(thinking, _reasons(session, thinking), strict=True))
    pairs = []
    for carried in carries:
        example, thought = next(thoughts) if carried else (None, None)
        if thought is None:  # not drawn, or the teacher had none
            example = next(plain)
        pairs.append((example, tagged(example.labels[example.right], thought)))
    return pairs


def _questions(session: Session, writer: Any) -> Iterator[Example]:
    """Questions of all tasks in equal shares."""
    streams = [session.questions.stream(task, writer) for task in session.questions.tasks]
    for stream in cycle(streams):
        yield next(stream)


def _reasons(session: Session, examples: list[Example]) -> list[str | None]:
    """The reasoning for each example: the teacher's, which may be None, or the template's."""
    config: SftConfig = session.config
    if not config.teacher or not examples:
        reasoner = TemplateReasoner(session.world, config.captions)
        return [reasoner.reason(example) for example in examples]
    teacher = make_model(ModelSpec.parse(config.teacher, {}), session.world)
    found, counts = teach(teacher, examples, TRIES, config.seed, MAX_TOKENS, session.world)
    session.notes["teacher"] = {"model": teacher.name, **counts}
    return found

"""Supervised fine-tuning: the model learns to write the right reply to each question."""

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from vrsim.models.tokens import Tokens
from vrsim.progress import Progress, silent
from vrsim.text.replies import tagged
from vrsim.training.config import SftConfig
from vrsim.training.examples import Example
from vrsim.training.run import Session, carry_out, common_settings

__all__ = ["train_sft"]

MAX_TOKENS = 64
NO_LOSS = -100


def train_sft(config: SftConfig, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Teach a model the right replies; returns the card of the model in ``out/model``.

    The same call goes on with a run that was killed. Raises TrainingError and what worlds and models raise.
    """
    return carry_out("sft", config, out, _trainer, MAX_TOKENS, progress)


def _trainer(session: Session, callbacks: list[Any]) -> Any:
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(**common_settings(session), max_length=None)
    return SFTTrainer(
        session.learner.model,
        settings,
        train_dataset=rows(session),
        processing_class=session.learner.tokenizer,
        callbacks=callbacks,
    )


def rows(session: Session) -> Any:
    """The data set: tokens, and the labels that the loss is taken on, one row per sequence."""
    from datasets import Dataset

    config: SftConfig = session.config
    total = config.examples or config.steps * config.batch
    tokens = Tokens(session.learner.tokenizer, None)
    end = session.learner.tokenizer.eos_token_id
    examples = list(islice(_mixed(session), total))
    texts = tokens.training_texts([example.prompt for example in examples])
    replies = tokens.going_on([tagged(example.labels[example.right]) for example in examples])
    made = []
    for (_, ids, _), reply in zip(texts, replies, strict=True):
        made.append({"input_ids": [*ids, *reply, end], "labels": [NO_LOSS] * len(ids) + [*reply, end]})
    return Dataset.from_list(made)


def _mixed(session: Session) -> Iterator[Example]:
    """Questions of all tasks in equal shares."""
    writer = session.writer(MAX_TOKENS)
    streams = [session.questions.stream(task, writer) for task in session.questions.tasks]
    for stream in cycle(streams):
        yield next(stream)

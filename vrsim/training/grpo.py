"""GRPO: each prompt is answered several times, and what was rewarded above the group's mean becomes more likely."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from vrsim.models.tokens import Tokens
from vrsim.progress import Progress, silent
from vrsim.training.config import GrpoConfig, SftConfig, TrainConfig
from vrsim.training.curriculum import schedule
from vrsim.training.examples import Example
from vrsim.training.presets import make_training
from vrsim.training.reward import Rewarder
from vrsim.training.run import Session, carry_out, common_settings
from vrsim.training.run_folder import FIRST
from vrsim.training.sft import train_sft

__all__ = ["train_grpo"]

# What the fine-tuning that comes first has in common with the run itself; the rest is its preset's.
SHARED = ("world", "protocol", "model", "tasks", "m", "prompt", "cot", "comments", "captions", "history", "users")
SHARED += ("validation", "precision", "log", "seed")


def train_grpo(config: GrpoConfig, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Train a simulated user on what its training users really did; returns the card of the model in ``out/model``.

    The same call goes on with a run that was killed. Raises TrainingError and what worlds and models raise.
    """
    if config.sft and not config.model.startswith("checkpoint:"):
        shared = {field.name: getattr(config, field.name) for field in fields(TrainConfig) if field.name in SHARED}
        train_sft(make_training(SftConfig, config.sft, shared), out / FIRST, progress)
        config = replace(config, model=f"checkpoint:{out / FIRST}", sft="")
    return carry_out("grpo", config, out, _trainer, config.max_tokens, progress)


def _trainer(session: Session, callbacks: list[Any]) -> Any:
    from trl import GRPOConfig

    from vrsim.training.trainers import GroupTrainer

    config: GrpoConfig = session.config
    vllm: dict[str, Any] = {"use_vllm": True, "vllm_mode": config.vllm} if config.vllm else {}
    if config.vllm_server:
        vllm["vllm_server_base_url"] = config.vllm_server
    settings = GRPOConfig(
        **common_settings(session),
        **vllm,
        num_generations=config.rollouts,
        max_completion_length=config.max_tokens,
        temperature=config.temperature,
        beta=config.beta,
        loss_type=config.loss,
        scale_rewards=config.scale,
        shuffle_dataset=False,  # the order of the rows is the curriculum
        disable_dropout=True,
    )
    return GroupTrainer(
        session.learner.model,
        Rewarder(config.reward, session.template.reasoning, session.questions.tasks),
        settings,
        prompts(session),
        processing_class=session.learner.tokenizer,
        callbacks=callbacks,
        drop_silent=config.drop_silent,
    )


def prompts(session: Session) -> Any:
    """The data set: one row per prompt, in the order in which they are asked."""
    from datasets import Dataset

    config: GrpoConfig = session.config
    writer = session.writer(config.max_tokens)
    streams = {task: session.questions.stream(task, writer) for task in session.questions.tasks}
    order = schedule(
        config.curriculum,
        config.steps,
        config.batch // config.rollouts,
        config.switch,
        config.mix,
        config.seed,
        session.questions.tasks,
    )
    examples = [next(streams[task]) for task in order]
    tokens = Tokens(session.learner.tokenizer, None)
    written = tokens.training_texts([example.prompt for example in examples])
    rows = [_row(example, text, lead) for example, (text, _, lead) in zip(examples, written, strict=True)]
    return Dataset.from_list(rows)


def _row(example: Example, text: str, lead: str) -> dict[str, Any]:
    user, t = example.position
    return {
        "prompt": text,
        "lead": lead,
        "task": example.task,
        "labels": list(example.labels),
        "right": example.right,
        "user": user,
        "t": t,
    }

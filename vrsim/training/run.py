"""One training run from beginning to end: what fine-tuning and GRPO have in common."""

import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from vrsim.building import versions
from vrsim.errors import DependencyError, TrainingError
from vrsim.models.loading import quiet
from vrsim.progress import Progress, silent
from vrsim.protocols import get_protocol
from vrsim.text.templates import US_AGENT, US_AGENT_DIRECT, Template, get_template
from vrsim.text.writer import Writer
from vrsim.training.cards import model_page, read_card, start_card, write_card
from vrsim.training.checks import make_check
from vrsim.training.collapse import Collapse
from vrsim.training.config import TrainConfig
from vrsim.training.examples import Questions
from vrsim.training.learner import Learner, load_learner, require_training
from vrsim.training.run_folder import CHECKPOINTS, TrainingFolder
from vrsim.world import World

__all__ = ["Session", "carry_out", "common_settings"]

LOGS = 200  # about as many lines of metrics has a run


@dataclass(frozen=True, eq=False)
class Session:
    """What a trainer is made of."""

    config: TrainConfig
    world: World
    learner: Learner
    questions: Questions
    template: Template
    folder: TrainingFolder
    processes: int
    notes: dict[str, Any] = field(default_factory=dict)  # what was found while the data were made, for the card

    def writer(self, max_tokens: int, template: Template | None = None) -> Writer:
        """Writes prompts that leave ``max_tokens`` of the model's context. Raises TrainingError."""
        from vrsim.models.local import LocalModel

        model = LocalModel.around(self.learner.model, self.learner.tokenizer, "in training")
        budget = None if model.context is None else model.context - max_tokens
        if budget is not None and budget < 1:
            raise TrainingError(
                f"max_tokens={max_tokens} leaves no room for a prompt in the model's context of {model.context}"
            )
        shown = {name: getattr(self.config, name) for name in ("comments", "captions", "history")}
        return Writer(self.world, template or self.template, budget=budget, count=model.count, **shown)


Make = Callable[[Session, list[Any]], Any]


def carry_out(
    method: str, config: TrainConfig, out: Path, make: Make, max_tokens: int, progress: Progress = silent
) -> dict[str, Any]:
    """Train, or go on where a killed run stopped; returns the card of the model in ``out/model``.

    ``make(session, callbacks)`` makes the trainer. Raises TrainingError, and what worlds and models raise.
    """
    require_training()
    from accelerate import PartialState

    from vrsim.models.local import LocalModel

    _need_gpu(config)
    _need_trackers(config)
    world = World.load(config.world)
    processes = PartialState()
    kept = {"method": method, "world_hash": world.hash, "protocol_hash": get_protocol(config.protocol).hash}
    facts = kept | {"command": " ".join(sys.argv), "versions": versions()}
    with TrainingFolder.open(out, asdict(config), facts, processes.is_main_process) as folder:
        if folder.finished:
            return _finished(folder)
        with processes.main_process_first():
            learner = load_learner(world, config, progress)
        model = LocalModel.around(learner.model, learner.tokenizer, "in training")
        questions = Questions(world, config, model)
        session = Session(
            config, world, learner, questions, _template(config, learner), folder, processes.num_processes
        )
        return _train(session, method, make, max_tokens, progress, processes)


def _train(
    session: Session, method: str, make: Make, max_tokens: int, progress: Progress, processes: Any
) -> dict[str, Any]:
    from transformers import PrinterCallback, ProgressCallback

    from vrsim.training.watch import Watch

    config, folder, learner = session.config, session.folder, session.learner
    card = start_card(session.world, config, learner, session.questions, session.template, method, max_tokens)
    check = make_check(session.questions, session.writer(max_tokens), config.checked, max_tokens, learner.tokenizer)
    watch = Watch(folder, card, check, config.check_every, Collapse(), progress, method)
    with _clear_errors(folder), quiet():
        trainer = make(session, [watch])
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        complete = folder.checkpoints()
        begin = max(complete, default=0)
        if processes.is_main_process:
            folder.clean(begin)
        processes.wait_for_everyone()
        trainer.train(resume_from_checkpoint=str(complete[begin]) if begin else None)
        if watch.reason:
            _keep_last_good(folder, watch, processes)
        private = folder.path / ".model"
        if processes.is_main_process:
            shutil.rmtree(private, ignore_errors=True)
        processes.wait_for_everyone()
        trainer.save_model(str(private))
        processes.wait_for_everyone()
        if processes.is_main_process:
            (private / "training_args.bin").unlink(missing_ok=True)
            done = write_card(
                private, card | session.notes | {"step": trainer.state.global_step, "scores": watch.scores}
            )
            (private / "README.md").write_text(model_page(done), encoding="utf-8")
            private.rename(folder.model)
            folder.finish(steps=trainer.state.global_step, scores=watch.scores)
        processes.wait_for_everyone()
    return _finished(folder)


def _finished(folder: TrainingFolder) -> dict[str, Any]:
    if stopped := folder.manifest.get("stopped"):
        raise TrainingError(stopped)
    return read_card(folder.model)


def _keep_last_good(folder: TrainingFolder, watch: Any, processes: Any) -> None:
    """Make the model of a stopped run from its last good checkpoint, and say why it was stopped."""
    good = [step for step in folder.checkpoints() if step <= watch.last_good]
    kept = (
        f"step {good[-1]} was the last good checkpoint and is kept as {folder.model}"
        if good
        else "no checkpoint was good"
    )
    reason = f"training was stopped: {watch.reason}; {kept}"
    if processes.is_main_process:
        if good:
            shutil.copytree(
                folder.checkpoints()[good[-1]],
                folder.model,
                ignore=shutil.ignore_patterns("*.pt", "*.pth", "*.bin", "trainer_state.json"),
            )
        folder.finish(stopped=reason)
    processes.wait_for_everyone()
    raise TrainingError(reason)


def _template(config: TrainConfig, learner: Learner) -> Template:
    template = get_template(config.prompt or learner.completes or US_AGENT.name)
    return US_AGENT_DIRECT if template is US_AGENT and not config.cot else template


def _need_gpu(config: TrainConfig) -> None:
    import torch

    if config.gpu and not torch.cuda.is_available():
        raise TrainingError(
            "this configuration wants a GPU and there is none; take a smaller preset, or set gpu=False to train on the "
            "CPU all the same"
        )
    if config.precision == "bfloat16" and not torch.cuda.is_available():
        raise TrainingError("precision=bfloat16 needs a GPU and there is none; leave it at auto")


def _need_trackers(config: TrainConfig) -> None:
    import importlib.util

    for name in config.log:
        if not importlib.util.find_spec(name):
            raise DependencyError(f"log={name} needs the package {name}: pip install {name}; or leave it out with log=")


def common_settings(session: Session) -> dict[str, Any]:
    """What goes into TRL's configuration of either trainer. Raises TrainingError for batches that do not divide."""
    import torch

    config = session.config
    share, rest = divmod(config.batch, session.processes)
    if rest:
        raise TrainingError(f"batch={config.batch} cannot be shared equally by {session.processes} processes")
    per_device = config.per_device or share
    if share % per_device:
        raise TrainingError(
            f"a process has {share} sequences of a batch, which are no multiple of per_device={per_device}"
        )
    bf16 = config.precision == "bfloat16" or (config.precision == "auto" and torch.cuda.is_available())
    return {
        "output_dir": str(session.folder.path / CHECKPOINTS),
        "max_steps": config.steps,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": share // per_device,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        "warmup_steps": round(config.warmup * config.steps),
        "weight_decay": config.weight_decay,
        "bf16": bf16,
        _checkpointing(): config.gradient_checkpointing,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 3,
        "logging_steps": max(1, config.steps // LOGS),
        "report_to": list(config.log) or "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "seed": config.seed,
        "data_seed": config.seed,
    }


@cache
def _checkpointing() -> str:
    """What this version of transformers calls recomputing activations."""
    from transformers import TrainingArguments

    known = {field.name for field in fields(TrainingArguments)}
    return next(name for name in ("activation_checkpointing", "gradient_checkpointing") if name in known)


@contextmanager
def _clear_errors(folder: TrainingFolder) -> Iterator[None]:
    """A full disk in the middle of a checkpoint, or too little memory, as one clear error."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            "the GPU has too little memory; set a smaller per_device, gradient_checkpointing=True, or lora_rank=16"
        ) from error
    except (OSError, SafetensorError, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(
            words in str(error) for words in ("No space left", "os error 28", "unexpected pos", "Disk quota")
        )
        if not full:
            raise
        steps = list(folder.checkpoints())
        left = f"the last whole checkpoint is step {steps[-1]}" if steps else "no checkpoint was written yet"
        raise TrainingError(
            f"{folder.path} cannot be written: the disk is full; {left}. Make room, and the same command goes on"
        ) from error

"""What a training run is asked for."""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from vrsim.errors import OptionError, UnknownNameError
from vrsim.protocols import TASKS, get_protocol
from vrsim.text.templates import get_template
from vrsim.training.reward import find_reward

__all__ = ["CURRICULA", "TRACKERS", "GrpoConfig", "SftConfig", "TrainConfig"]

TRACKERS = ("tensorboard", "wandb", "trackio")
Curriculum = Literal["judgment-first", "mixed", "selection-only", "judgment-only"]
CURRICULA = get_args(Curriculum)
SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig:
    """What fine-tuning and GRPO share. Everything counts over all processes together."""

    world: str = "ml-100k:holdout=10"
    protocol: str = "vragent-paper"
    model: str = "pocket"  # pocket, hf:NAME or FOLDER, checkpoint:FOLDER
    tasks: tuple[str, ...] = ("judgment", "selection")
    m: tuple[int, ...] = (3, 4)  # wrong items of a selection; each has the same share of the questions
    prompt: str = ""  # name of a template, "" = the one the model was made for, else us-agent
    cot: bool = True  # reasoning before the answer
    comments: bool = True  # shown where the world has them
    captions: bool = True
    history: int = 0  # newest items that are shown, 0 = those that the protocol shows
    users: int = 0  # at most this many training users, 0 = all
    earlier: int = 0  # at most this many earlier positions of theirs are asked about too, see vrsim.training.earlier
    validation: float = 0.1  # share of the training users who are left out of training, to check it on
    steps: int = 400  # optimizer steps
    batch: int = 64  # sequences of a step
    per_device: int = 0  # sequences that a device takes at once, 0 = its share of the batch
    learning_rate: float = 1e-4  # the highest
    schedule: str = "cosine"  # of the learning rate after its warm-up: constant, linear, cosine
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.0
    lora_rank: int = 0  # of adapters beside all linear layers, 0 = all weights are trained
    lora_alpha: int = 32
    precision: str = "auto"  # of the weights: auto = bfloat16 on GPUs, float32 without
    gradient_checkpointing: bool = False  # less memory, a third more time
    gpu: bool = False  # refuse to start without one
    save_every: int = 100  # steps between checkpoints
    check_every: int = 50  # steps between checks on the validation users, 0 = none
    checked: int = 256  # questions of a check, of each task
    log: tuple[str, ...] = ("tensorboard",)  # tensorboard, wandb, trackio; () = metrics.jsonl alone
    seed: int = 0

    def __post_init__(self) -> None:
        get_protocol(self.protocol)
        if self.prompt and get_template(self.prompt).options != "labels":
            raise OptionError(
                f"the template {self.prompt!r} asks for probabilities, not for words; take another prompt"
            )
        least = {
            "history": 0,
            "users": 0,
            "earlier": 0,
            "steps": 1,
            "batch": 1,
            "per_device": 0,
            "lora_rank": 0,
            "lora_alpha": 1,
            "save_every": 1,
        }
        for name, lowest in (least | {"check_every": 0, "checked": 1, "seed": 0}).items():
            value = getattr(self, name)
            if type(value) is not int or value < lowest:
                raise OptionError(f"{name} must be an integer from {lowest}, found {value!r}")
        _in_range(self, "validation", 0, 0.5)
        _in_range(self, "warmup", 0, 1)
        _in_range(self, "weight_decay", 0, 10)
        _in_range(self, "learning_rate", 0, 1)
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, str(getattr(self, name)), known)
        for name, kind, known in (("tasks", "task", TASKS), ("log", "tracker", TRACKERS)):
            for value in getattr(self, name):
                if value not in known:
                    raise UnknownNameError(kind, str(value), known)
        if not self.tasks:
            raise OptionError("tasks must name at least one")
        if not self.m or any(type(size) is not int or size < 1 for size in self.m):
            raise OptionError(f"m must be integers from 1, found {self.m!r}")
        for f in fields(self):
            if f.type is bool and type(getattr(self, f.name)) is not bool:
                raise OptionError(f"{f.name} must be True or False, found {getattr(self, f.name)!r}")


@dataclass(frozen=True)
class SftConfig(TrainConfig):
    """Supervised fine-tuning: the model learns to write the right reply."""

    lead: str = ""  # protocol whose questions come first, "" = none: an easier one that teaches to compare candidates
    lead_share: float = 0.5  # of the sequences
    agent: str = "us-agent"  # whose prompts: us-agent, or tallrec and mllm-msr, which are asked judgments
    examples: int = 0  # different questions to learn from, 0 = new ones at every step
    reasoning: float = 0.1  # share of the replies that reason, where cot and the prompt have it
    teacher: str = ""  # model that writes the reasoning, "" = a template that says what the prompt shows

    def __post_init__(self) -> None:
        super().__post_init__()
        _in_range(self, "reasoning", 0, 1)
        _in_range(self, "lead_share", 0, 1)
        if self.lead:
            get_protocol(self.lead)
            if self.examples:
                raise OptionError("examples and lead do not go together: few examples come from one protocol")
        if type(self.examples) is not int or self.examples < 0:
            raise OptionError(f"examples must be an integer from 0, found {self.examples!r}")


@dataclass(frozen=True)
class GrpoConfig(TrainConfig):
    """GRPO: the model is rewarded for what it says."""

    sft: str = ""  # preset of vrsim train sft that comes first, "" = none; a checkpoint needs none
    rollouts: int = 8  # replies to each prompt: a group
    max_tokens: int = 64  # of a reply
    temperature: float = 1.0
    reward: str = "vragent-paper"  # of vrsim.text.rewards, or module:function, see vrsim.training.reward
    beta: float = 0.001  # weight of the KL divergence from the model that training started with
    loss: str = "dapo"  # how TRL averages over tokens: grpo, dapo, dr_grpo, bnpo
    scale: str = "group"  # the advantage is divided by the standard deviation of the "group", the "batch", or "none"
    curriculum: Curriculum = "judgment-first"
    switch: float = 0.4  # share of the steps after which selection joins, of judgment-first
    mix: float = 0.25  # share of judgments from then on; of curriculum mixed: from the start
    drop_silent: bool = True  # groups whose rewards are all equal leave the loss
    vllm: str = ""  # "" = replies come from the model in training; colocate or server, as in TRL
    vllm_server: str = ""  # address of `trl vllm-serve`, "" = TRL's default

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.rollouts) is not int or self.rollouts < 2:
            raise OptionError(f"rollouts must be an integer from 2, found {self.rollouts!r}")
        if self.batch % self.rollouts:
            raise OptionError(f"batch must be a multiple of rollouts={self.rollouts}, found {self.batch}")
        if type(self.max_tokens) is not int or self.max_tokens < 1:
            raise OptionError(f"max_tokens must be an integer from 1, found {self.max_tokens!r}")
        for name, most in (("temperature", 2), ("beta", 10), ("switch", 1), ("mix", 1)):
            _in_range(self, name, 0, most)
        if self.temperature == 0:
            raise OptionError("temperature must be above 0: the replies of a group must differ")
        find_reward(self.reward)
        choices = {
            "curriculum": CURRICULA,
            "loss": ("grpo", "dapo", "dr_grpo", "bnpo"),
            "scale": ("group", "batch", "none"),
            "vllm": ("", "colocate", "server"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(name, str(getattr(self, name)), known)


def _in_range(config: Any, name: str, least: float, most: float) -> None:
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise OptionError(f"{name} must be a number from {least} to {most}, found {value!r}")

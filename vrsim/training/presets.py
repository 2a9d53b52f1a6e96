"""Settings by name: the published recipes, and the ones for a laptop."""

from dataclasses import fields
from typing import Any, TypeVar

from vrsim.errors import UnknownNameError
from vrsim.naming import check_options
from vrsim.training.config import GrpoConfig, SftConfig, TrainConfig

__all__ = ["PRESETS", "make_training"]

Config = TypeVar("Config", bound=TrainConfig)

QWEN = "hf:Qwen/Qwen2.5-7B-Instruct"
LORA = {"lora_rank": 8, "lora_alpha": 16, "gpu": True}

POCKET = {"history": 50, "m": (1, 2, 3, 4)}
FINE_TUNED = POCKET | {"earlier": 40_000, "steps": 1000, "batch": 64, "learning_rate": 1e-3, "weight_decay": 0.05}

PRESETS: dict[type[TrainConfig], dict[str, dict[str, Any]]] = {
    SftConfig: {
        "pocket": FINE_TUNED,
        # Where the right answer is the one that the recommender likes least, candidates are not compared for long.
        "pocket-led": FINE_TUNED | {"lead": "uniform", "lead_share": 0.35, "steps": 1700},
        # TALLRec (RecSys 2023): LoRA of rank 8 on a 7B model, learning rate 1e-4, batch of 128, 16, 64 or 256 examples.
        **{
            f"tallrec-{shots}": LORA
            | {
                "model": QWEN,
                "agent": "tallrec",
                "protocol": "tallrec",
                "tasks": ("judgment",),
                "examples": shots,
                "batch": min(128, shots),
                "steps": 100,
                "learning_rate": 1e-4,
                "schedule": "linear",
            }
            for shots in (16, 64, 256)
        },
        # MLLM-MSR (AAAI 2025): LoRA, Yes or No about the next item after a summary of the user's preferences.
        "mllm-msr": LORA
        | {
            "model": QWEN,
            "agent": "mllm-msr",
            "protocol": "mllm-msr",
            "tasks": ("judgment",),
            "batch": 16,
            "steps": 1000,
            "learning_rate": 2e-5,
        },
        # The supervised row of VRAgent-R1's ablation.
        "vragent-paper": {"model": QWEN, "gpu": True, "batch": 16, "steps": 500, "learning_rate": 1e-5}
        | {"gradient_checkpointing": True, "per_device": 1},
    },
    GrpoConfig: {
        # Fine-tuning leaves answers so sure that most groups agree at temperature 1: at 1.3 one in five does.
        "pocket": POCKET
        | {"sft": "pocket", "earlier": 40_000, "steps": 100, "batch": 256, "rollouts": 16, "learning_rate": 1e-4}
        | {"max_tokens": 6, "temperature": 1.3, "switch": 0.3, "mix": 0.4},
        # VRAgent-R1 (AAAI 2026): 2,000 users, batch of 16 prompts with 16 replies each, KL 0.001, 4 epochs.
        "vragent-paper": {
            "model": QWEN,
            "gpu": True,
            "users": 2000,
            "batch": 256,
            "rollouts": 16,
            "steps": 1000,  # 4 epochs over 2,000 users, judgment and selection, 16 prompts a step
            "switch": 0.5,
            "beta": 0.001,
            "loss": "grpo",
            "max_tokens": 2048,
            "per_device": 2,
            "learning_rate": 1e-6,
            "schedule": "constant",
            "warmup": 0.0,
            "gradient_checkpointing": True,
        },
        # The released code: its protocol and rewards, learning rate 4e-7 after a warm-up of 10 %, replies of 1,024.
        "vragent-code": {
            "model": QWEN,
            "gpu": True,
            "protocol": "vragent-code",
            "reward": "vragent-code",
            "batch": 256,
            "rollouts": 16,
            "steps": 500,
            "switch": 0.5,
            "beta": 0.001,
            "loss": "grpo",
            "max_tokens": 1024,
            "per_device": 2,
            "learning_rate": 4e-7,
            "schedule": "cosine",
            "warmup": 0.1,
            "gradient_checkpointing": True,
        },
    },
}


def make_training(kind: type[Config], preset: str, options: dict[str, Any]) -> Config:
    """The configuration of a preset with some settings changed. Raises UnknownNameError, OptionError."""
    known = PRESETS[kind]
    if preset not in known:
        raise UnknownNameError("preset", preset, known)
    check_options("training", kind, options)
    tuples = {f.name for f in fields(kind) if "tuple" in str(f.type)}
    given = {name: _many(value) if name in tuples else value for name, value in options.items()}
    return kind(**(known[preset] | given))


def _many(value: Any) -> tuple[Any, ...]:
    """One value or several as a tuple; "" and None are none."""
    if value in ("", None):
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)

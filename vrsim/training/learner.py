"""The model that is trained: where it comes from, its tokenizer, and the adapters beside its layers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrsim.errors import DependencyError, OptionError, TrainingError, UnknownNameError
from vrsim.models.checkpoints import find_checkpoint
from vrsim.models.loading import load_model, load_tokenizer
from vrsim.models.pocket import build_pocket, pocket_folder, read_card
from vrsim.models.pocket_training import PocketConfig
from vrsim.models.trained import read_trained
from vrsim.progress import Progress
from vrsim.protocols import get_protocol
from vrsim.training.config import TrainConfig
from vrsim.world import World

__all__ = ["Learner", "load_learner", "require_training"]

KINDS = ("pocket", "hf", "checkpoint")


@dataclass(frozen=True)
class Learner:
    """A model ready to be trained."""

    model: Any  # of transformers; with LoRA, of peft
    tokenizer: Any
    base: str  # name or folder of the model below the adapters; "" = all weights are trained
    origin: str  # what training started from, with its version
    completes: str  # the template that the model was made for, "" = any
    lineage: tuple[dict[str, Any], ...]  # the training runs behind it, oldest first


def require_training() -> None:
    """Raise DependencyError if the libraries for training are not installed."""
    import importlib.util

    missing = [
        name for name in ("torch", "transformers", "trl", "peft", "datasets") if not importlib.util.find_spec(name)
    ]
    if missing:
        raise DependencyError(
            f"training needs {', '.join(missing)}: pip install 'vrsim[train]', or -e '.[train]' in a checkout"
        )


def load_learner(world: World, config: TrainConfig, progress: Progress) -> Learner:
    """The model that ``config.model`` names, with adapters if it asks for them.

    All weights are kept in float32 while they are trained; below adapters they are in ``config.precision``. Raises
    ModelError, TrainingError, OptionError.
    """
    kind, _, target = config.model.partition(":")
    if kind not in KINDS:
        raise UnknownNameError("kind of model to train", kind, KINDS)
    if kind != "pocket" and not target:
        raise OptionError(f"a model {kind!r} needs a name: {kind}:NAME or {kind}:FOLDER")
    dtype = _below(config) if config.lora_rank else "float32"
    if kind == "checkpoint":
        return _go_on(world, config, Path(target), dtype)
    if kind == "pocket":
        folder = Path(target) if target else pocket_folder(world, PocketConfig())
        if not target and not folder.exists():
            build_pocket(world, PocketConfig(), None, progress)
        card = read_card(folder)
        if card["world_hash"] != world.hash:
            raise TrainingError(
                f"{folder} was made for world {card['world']!r}, not for {world.name!r} ({world.hash[:12]})"
            )
        completes, origin, target = "pocket", f"pocket:{card['hash'][:16]}", str(folder)
    else:
        completes, origin = "", ""
    checkpoint = find_checkpoint(target)
    model, tokenizer = load_model(checkpoint, None, dtype, "cpu"), load_tokenizer(checkpoint)
    if config.lora_rank:
        model = _adapted(model, config)
    base = target if config.lora_rank else ""
    return Learner(_ready(model, tokenizer), tokenizer, base, origin or f"hf:{checkpoint}", completes, ())


def _go_on(world: World, config: TrainConfig, folder: Path, dtype: str) -> Learner:
    """A model that was trained before, to be trained further."""
    trained = read_trained(folder)
    trained.check_world(world)
    trained.check_protocol(config.protocol, get_protocol(config.protocol).hash)
    if trained.base:
        import peft

        checkpoint = find_checkpoint(trained.base)
        below = load_model(checkpoint, None, _below(config), "cpu")
        model = peft.PeftModel.from_pretrained(below, trained.folder, is_trainable=True)
    else:
        checkpoint = find_checkpoint(str(trained.folder))
        model = load_model(checkpoint, None, dtype, "cpu")
        model = _adapted(model, config) if config.lora_rank else model
    tokenizer = load_tokenizer(find_checkpoint(str(trained.folder), config="tokenizer_config.json"))
    base = trained.base or (str(trained.folder) if config.lora_rank else "")
    lineage = (*trained.card["lineage"], trained.step)
    return Learner(_ready(model, tokenizer), tokenizer, base, trained.name, trained.card["completes"], lineage)


def _below(config: TrainConfig) -> str:
    """The precision of the weights below adapters."""
    import torch

    if config.precision == "auto":
        return "bfloat16" if torch.cuda.is_available() else "float32"
    return config.precision


def _adapted(model: Any, config: TrainConfig) -> Any:
    """LoRA beside all linear layers."""
    import peft

    settings = peft.LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, settings)


def _ready(model: Any, tokenizer: Any) -> Any:
    """Replies must be able to end, and batches to be filled up."""
    if tokenizer.eos_token_id is None:
        raise TrainingError("the model's tokenizer has no token that ends a reply; training needs one")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    for parameter in model.parameters():
        if not parameter.is_floating_point():
            raise TrainingError("the model's weights are quantized; train one that is not, or LoRA beside it")
    return model

"""Models, adapters and tokenizers out of their files, with one clear error for each that cannot be had."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from vrsim.errors import DependencyError, ModelError, UnknownNameError
from vrsim.models.checkpoints import Checkpoint, first_sentence
from vrsim.threads import import_torch

__all__ = ["DTYPES", "load_model", "load_processor", "load_tokenizer", "quiet", "sees"]

DTYPES = ("auto", "bfloat16", "float16", "float32")
NO_MEMORY = "there is not enough memory for its weights; take a smaller model, or dtype=bfloat16"


def load_tokenizer(model: Checkpoint) -> Any:
    """The tokenizer of a model. Raises ModelError."""
    transformers = _transformers()
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(model.folder)
        if tokenizer("a word")["input_ids"]:
            return tokenizer
        reason = "the one it makes of these files knows no words"
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        reason = first_sentence(error)
    raise ModelError(f"{model.name} has no tokenizer that transformers can load: {reason}")


def load_processor(model: Checkpoint) -> Any:
    """What prepares words and images for a model that sees. Raises ModelError, DependencyError."""
    transformers = _transformers()
    try:
        with quiet():
            return transformers.AutoProcessor.from_pretrained(model.folder)
    except ImportError as error:  # torchvision, and for some models more
        raise DependencyError(
            f"the images of {model.name} need more packages, torchvision at least: {first_sentence(error)}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = first_sentence(error)
    raise ModelError(f"{model.name} has no processor for its images that transformers can load: {reason}")


def sees(config: Any) -> bool:
    """Whether a model's config has a vision part and transformers knows it as an image-text-to-text model."""
    transformers = _transformers()
    known = transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    return "vision_config" in config.sub_configs and type(config) in known


def load_model(model: Checkpoint, adapter: Checkpoint | None, dtype: str, device_map: str) -> Any:
    """A causal language model with its adapter, ready to answer; one that sees where its config has a vision part.

    ``dtype``: one of DTYPES, "auto" = bfloat16 on GPUs, float32 without. ``device_map``: as in transformers,
    "auto" = spread over all GPUs, or the CPU where there are none. The adapter's weights stay beside the model's.
    Raises ModelError.
    """
    transformers = _transformers()
    import safetensors
    import torch

    if dtype not in DTYPES:
        raise ModelError(str(UnknownNameError("dtype", dtype, DTYPES)))
    if device_map == "auto" and not torch.cuda.is_available():
        device_map = "cpu"
    if dtype == "auto":
        dtype = "float32" if device_map == "cpu" else "bfloat16"
    place = {} if device_map == "cpu" else {"device_map": device_map}
    kind = "a causal language model"
    try:
        with quiet():
            auto = transformers.AutoModelForCausalLM
            if sees(transformers.AutoConfig.from_pretrained(model.folder)):
                auto, kind = transformers.AutoModelForImageTextToText, "a model that sees"
            loaded, report = auto.from_pretrained(
                model.folder, dtype=getattr(torch, dtype), output_loading_info=True, **place
            )
        missing = sorted(report["missing_keys"])
        reason = f"its files lack {len(missing)} weights, {missing[0]} for one" if missing else ""
    except (MemoryError, torch.cuda.OutOfMemoryError):
        reason = NO_MEMORY
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, safetensors.SafetensorError) as error:
        reason = NO_MEMORY if "can't allocate memory" in str(error) else first_sentence(error)
    if reason:
        raise ModelError(f"{model.name} cannot be loaded as {kind}: {reason}")
    return (loaded if adapter is None else _add_adapter(loaded, adapter, model.name)).eval()


def _add_adapter(model: Any, adapter: Checkpoint, base: str) -> Any:
    """Put LoRA weights into a model. Raises ModelError where they belong to another."""
    try:
        import peft
    except ImportError:
        raise DependencyError("an adapter needs the package peft: pip install peft") from None
    import safetensors

    made_for = "unknown"
    try:
        with quiet():
            config = peft.PeftConfig.from_pretrained(adapter.folder)
        made_for = config.base_model_name_or_path
        if config.peft_type != peft.PeftType.LORA:
            raise ValueError(f"it is a {config.peft_type} adapter, expected LORA")
        config.inference_mode = True
        with quiet():
            wrapped = peft.get_peft_model(model, config)
            report = peft.set_peft_model_state_dict(wrapped, peft.load_peft_weights(adapter.folder, device="cpu"))
        lost = [key for key in report.missing_keys if "lora_" in key] + list(report.unexpected_keys)
        if lost:
            raise ValueError(f"its weights do not fit, {lost[0]} for one")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        reason = first_sentence(error)
    else:
        return wrapped.get_base_model()
    raise ModelError(f"the adapter {adapter.name} (made for {made_for}) cannot be used with {base}: {reason}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the remarks, warnings and progress bars of transformers to itself for a while."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _transformers() -> Any:
    try:
        import_torch()
        import transformers
    except ImportError:
        raise DependencyError(
            "a model in this process needs torch and transformers: pip install torch transformers"
        ) from None
    return transformers

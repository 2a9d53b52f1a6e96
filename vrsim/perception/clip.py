"""Images and words in one space, by any model of open_clip."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, final

import numpy as np

from vrsim.errors import DependencyError, ModelError, OptionError, UnknownNameError
from vrsim.threads import import_torch

if TYPE_CHECKING:
    import torch

__all__ = ["ClipConfig", "OpenClip"]

BROKEN = (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, EOFError, UnpicklingError)


@dataclass(frozen=True)
class ClipConfig:
    """Which model is loaded, and how."""

    name: str = "ViT-B-32"  # as in open_clip.list_models(), "hf-hub:...", or a folder with open_clip_config.json
    pretrained: str = "laion2b_s34b_b79k"  # tag or checkpoint file; not used with a folder or "hf-hub:..."
    device: str = "auto"  # as in torch; "auto" = the first GPU, or the CPU where there is none
    batch: int = 256  # images, or titles, of a forward pass

    def __post_init__(self) -> None:
        if type(self.batch) is not int or self.batch < 1:
            raise OptionError(f"batch must be an integer from 1, found {self.batch!r}")


@final
class OpenClip:
    """An open_clip model; on GPUs it computes in half precision (autocast, float16).

    What comes out is normalised: a dot product is the cosine. Sums in another order can change its last digits, so a
    batch and its parts agree to about 1e-6, in half precision to about 1e-3.
    """

    def __init__(self, config: ClipConfig = ClipConfig()) -> None:
        """Load the model. Raises ModelError, UnknownNameError, DependencyError."""
        torch, open_clip = _import()
        import safetensors

        self.config = config
        self.device = config.device
        if self.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        name, pretrained = config.name, config.pretrained
        if ":" in name or Path(name).is_dir():
            name, pretrained = (name if ":" in name else f"local-dir:{name}"), None
        elif name not in open_clip.list_models():
            raise UnknownNameError("open_clip model", name, open_clip.list_models())
        elif not Path(pretrained).is_file():
            tags = open_clip.list_pretrained_tags_by_model(name)
            if pretrained not in tags:
                raise UnknownNameError(f"weights of {name}", pretrained, tags)
        try:
            with _unlogged():
                made = open_clip.create_model_from_pretrained(name, pretrained, device=self.device)
                self._split = open_clip.get_tokenizer(name)
            self._model, self._prepare = made
        except (*BROKEN, safetensors.SafetensorError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(
                f"{config.name} cannot be loaded by open_clip: {reason}; name another model, a folder or a file with "
                "weights, or choose frames without one"
            ) from None
        self._model.eval()

    def images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Features float32 (n, D) of images, uint8 (height, width, 3) each, RGB."""
        torch, _ = _import()
        from PIL import Image

        def encode(part: Sequence[np.ndarray]) -> "torch.Tensor":
            return self._model.encode_image(
                torch.stack([self._prepare(Image.fromarray(image)) for image in part]).to(self.device)
            )

        return self._features(images, encode)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features float32 (n, D) of texts in any script; what does not fit into the model's context is cut off."""
        return self._features(texts, lambda part: self._model.encode_text(self._split(list(part)).to(self.device)))

    def score(self, images: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> list[np.ndarray]:
        """The cosine of every image of an item with the item's title: float32 (n,) per item.

        The images of all items share their forward passes.
        """
        if len(images) != len(titles):
            raise ModelError(f"expected one title per item, found {len(titles)} titles for {len(images)} items")
        words = self.texts(titles)
        pictures = self.images([image for some in images for image in some])
        ends = np.cumsum([len(some) for some in images])[:-1]
        return [part @ word for part, word in zip(np.split(pictures, ends), words, strict=True)]

    def _features(self, things: Sequence[Any], encode: Any) -> np.ndarray:
        torch, _ = _import()
        on_gpu, parts = self.device.startswith("cuda"), []
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=on_gpu):
            for start in range(0, len(things), self.config.batch):
                found = encode(things[start : start + self.config.batch]).float()
                parts.append(torch.nn.functional.normalize(found, dim=-1).cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Without what open_clip logs as the root logger: it raises the same words."""
    root = logging.getLogger()
    before, root.disabled = root.disabled, True
    try:
        yield
    finally:
        root.disabled = before


def _import() -> tuple[Any, Any]:
    try:
        torch = import_torch()
        import open_clip
    except ImportError as error:
        raise DependencyError(
            f"scores of frames need open_clip ({error}); install it with pip install 'vrsim[video]'"
        ) from None
    return torch, open_clip

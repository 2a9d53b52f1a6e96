"""The images of prompts: checked, decoded, and written as the data URLs that servers read."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vrsim.errors import ModelError, OptionError
from vrsim.models.model import Prompt

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["check_images", "data_url", "open_image", "refuse_images", "user_place"]

KINDS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png"}  # how their files begin


def user_place(prompt: Prompt) -> int:
    """Which message the images stand in: the last one of the user. Raises OptionError where there is none."""
    place = max((place for place, (role, _) in enumerate(prompt.messages) if role == "user"), default=None)
    if place is None:
        raise OptionError("images stand before the words of the last user message, and the prompt has no such message")
    return place


def check_images(prompts: Sequence[Prompt]) -> None:
    """Raise OptionError for images without a user message, and for bytes that begin as neither JPEG nor PNG."""
    for prompt in prompts:
        if prompt.images:
            user_place(prompt)
            for image in prompt.images:
                _kind(image)


def refuse_images(prompts: Sequence[Prompt], name: str) -> None:
    """Raise ModelError if a prompt has images; ``name``: of the model that cannot see them."""
    seen = sum(bool(prompt.images) for prompt in prompts)
    if seen:
        raise ModelError(
            f"{name} reads words only, and {seen:,} of {len(prompts):,} prompts have images; choose a model that sees, "
            "such as hf:Qwen/Qwen2.5-VL-7B-Instruct, or one behind a server: openai:NAME"
        )


def data_url(image: bytes) -> str:
    """The file as an address that holds it. Raises OptionError as ``check_images`` does."""
    return f"data:image/{_kind(image)};base64,{base64.b64encode(image).decode('ascii')}"


def open_image(image: bytes) -> "Image":
    """The image in RGB. Raises OptionError where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image), formats=["JPEG", "PNG"]) as opened:
            return opened.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OptionError(f"an image of a prompt cannot be read: {error}; expected a whole JPEG or PNG file") from None


def _kind(image: bytes) -> str:
    for start, kind in KINDS.items():
        if image.startswith(start):
            return kind
    raise OptionError(f"an image must be a JPEG or PNG file, found bytes that begin with {image[:8]!r}")

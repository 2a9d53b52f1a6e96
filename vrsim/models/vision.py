"""The eyes of models in this process: turns prompts with images into what an image-text-to-text model reads."""

from collections.abc import Sequence
from typing import Any, final

from vrsim.models.images import open_image
from vrsim.models.model import Prompt

__all__ = ["Vision"]

Message = dict[str, Any]


@final
class Vision:
    """The processor of an image-text-to-text model, any of transformers.

    The images of a prompt stand in its last user message, in front of the words. How large they are made and how
    many tokens they take is up to the processor and its files. Special tokens that stand in words are broken by a
    blank: a title cannot put an image mark, or the end of a message, into a prompt.
    """

    def __init__(self, processor: Any, tokenizer: Any) -> None:
        """``tokenizer``: of the same files; the processor's chat template becomes its own."""
        self.processor, self.tokenizer = processor, tokenizer
        if processor.chat_template is not None:
            self.tokenizer.chat_template = processor.chat_template
        self._special = [str(each) for each in self.tokenizer.added_tokens_decoder.values() if each.special]
        self._sizes: dict[tuple[tuple[int, int], ...], int] = {}

    def parts(self, messages: Sequence[Message], images: int) -> list[Message]:
        """The messages as lists of parts, with room for so many images in the last one of the user."""
        place = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=-1)
        room = [{"type": "image"}] * images
        return [
            {**message, "content": [*room * (at == place), {"type": "text", "text": self._broken(message["content"])}]}
            for at, message in enumerate(messages)
        ]

    def _broken(self, text: str) -> str:
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def added(self, prompt: Prompt, text: str) -> int:
        """How many tokens the images take beside their marks in ``text``, the prompt as the model reads it.

        Their number depends on the sizes of the images alone: blank ones of the same sizes are counted once.
        """
        sizes = tuple(open_image(image).size for image in prompt.images)
        if sizes not in self._sizes:
            from PIL import Image

            blank = [[Image.new("RGB", size) for size in sizes]]
            read = self.processor(text=[text], images=blank, add_special_tokens=False)
            marked = self.tokenizer(text, add_special_tokens=False)
            self._sizes[sizes] = len(read["input_ids"][0]) - len(marked["input_ids"])
        return self._sizes[sizes]

    def inputs(self, texts: Sequence[str], prompts: Sequence[Prompt], model: Any) -> dict[str, Any]:
        """What ``model`` reads for a batch of prompts that all have images: tokens padded on the left, and pixels."""
        images = [[open_image(image) for image in prompt.images] for prompt in prompts]
        read = self.processor(
            text=list(texts),
            images=images,
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        return dict(read.to(model.device, dtype=model.dtype))

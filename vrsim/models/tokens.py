"""Prompts, cues and options as the tokens of one tokenizer.

A chat is written by the tokenizer's own template. Where the template refuses or leaves out a system message, the
system text goes in front of the first user message, a blank line between them. Where there is no template, the chat
is written as ``System: ...``, ``User: ...``, ``Assistant: ...`` with blank lines between, and the last line is
``Assistant:``. A last message of the assistant is not closed: the model goes on with it.

What follows a prompt (a cue, an option, the words written so far) never changes the tokens before it. It is
tokenized as it would be after a line break, without the BOS token or the blank that some tokenizers put in front of a
text.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vrsim.errors import ModelError, OptionError
from vrsim.models.images import user_place
from vrsim.models.model import Prompt
from vrsim.models.vision import Vision

__all__ = ["Request", "Tokens", "join_cue"]


@dataclass(frozen=True)
class Request:
    """A prompt in tokens."""

    prompt: Prompt
    ids: list[int]  # an image is one mark
    dropped: int  # tokens cut from its left; with images, from the left of the words behind them
    options: list[list[int]]  # as they follow the cue
    length: int  # most tokens that prompt, completion and cue have together
    lead: str = ""  # words at the end of the prompt that belong to the completion: "<think>" of some chat templates
    text: str = ""  # what ``ids`` are the tokens of, where there are images
    added: int = 0  # tokens that images take beside their marks


Messages = list[dict[str, str]]

DATE = "26 Jul 2024"  # what Llama's templates take for today unless they are told: answers must not change by the day


class Tokens:
    """Turns text into tokens and back."""

    def __init__(
        self, tokenizer: Any, context: int | None, thinking: bool | None = None, vision: Vision | None = None
    ) -> None:
        """``thinking``: what chat templates that know ``enable_thinking`` are told, None = nothing. ``vision``: of a
        model that sees."""
        self.tokenizer, self.context, self._vision = tokenizer, context, vision
        self._settings = {"date_string": DATE} | ({} if thinking is None else {"enable_thinking": thinking})
        bos = tokenizer.bos_token_id
        self._start = [bos] if bos is not None and tokenizer("")["input_ids"][:1] == [bos] else []
        filler = (bos, tokenizer.eos_token_id, tokenizer.pad_token_id)
        self._nothing = [next((token for token in filler if token is not None), 0)]  # a model must read something
        self._break = self._plain(["\n"])[0]
        self._told = False
        self._holding: dict[tuple[frozenset[str], int], list[bool]] = {}

    def requests(self, prompts: Sequence[Prompt], max_tokens: int) -> list[Request]:
        """Each prompt in tokens, cut from its left where it would not fit into the context.

        Raises OptionError where ``max_tokens``, cue, options and images leave no room for a prompt.
        """
        behind = sorted({text for prompt in prompts if prompt.options for text in (prompt.cue, *prompt.options)})
        known = dict(zip(behind, self.going_on(behind), strict=True))
        made = []
        texts = self._texts(prompts)
        for prompt, text, ids in zip(prompts, texts, self._prompts(prompts, texts), strict=True):
            lead = "<think>" if prompt.messages and text.rstrip().endswith("<think>") else ""
            options = [known[option] for option in prompt.options]
            if not all(options):
                raise OptionError(f"an option must have at least one token, found {prompt.options}")
            cue = len(known[prompt.cue]) if options else 0
            room = None if self.context is None else self.context - max_tokens - cue - max(map(len, options), default=0)
            if room is not None and room < 1:
                raise OptionError(
                    f"max_tokens={max_tokens} leaves no room for a prompt in the model's context of {self.context} "
                    "tokens; set fewer"
                )
            if prompt.images:
                request = self._beside_images(prompt, text, ids, room)
            else:
                request = Request(prompt, *self.cut(ids, room), options, 0)
            length = len(request.ids) + request.added + max_tokens + cue
            made.append(replace(request, options=options, length=length, lead=lead))
        return made

    def _beside_images(self, prompt: Prompt, text: str, ids: list[int], room: int | None) -> Request:
        """A prompt whose images stay whole: the words of their message lose their left. Raises OptionError."""
        added, before, place = self._vision.added(prompt, text), len(ids), user_place(prompt)
        words = self._plain([prompt.messages[place][1]])[0]
        while room is not None and (over := len(ids) + added - room) > 0:
            words = words[over:]  # of the words as they were: cut words can have a token more than their part had
            if not words:
                raise OptionError(
                    f"the images of a prompt take {added:,} tokens, and there is room for {room:,}; give fewer or "
                    "smaller images, or set fewer max_tokens"
                )
            last = ("user", self.text(words))
            shown = replace(prompt, messages=(*prompt.messages[:place], last, *prompt.messages[place + 1 :]))
            [text] = self._texts([shown])
            [ids] = self._prompts([shown], [text])
        return Request(prompt, ids, before - len(ids), [], 0, text=text, added=added)

    def training_texts(self, prompts: Sequence[Prompt]) -> list[tuple[str, list[int], str]]:
        """Each prompt as the text and the tokens that a model is asked with, and the lead of its completion.

        The tokenizer by itself makes those tokens of that text: a BOS token that it adds is not in the text. Raises
        ModelError for a tokenizer that cannot.
        """
        texts = self._texts(prompts)
        ids = self._prompts(prompts, texts)
        bos = self.tokenizer.bos_token or ""
        if self._start and bos:
            texts = [text.removeprefix(bos) for text in texts]
        if texts and self.tokenizer(texts)["input_ids"] != ids:
            raise ModelError("the tokenizer does not give back the prompt that its chat template makes")
        leads = [
            "<think>" if p.messages and t.rstrip().endswith("<think>") else ""
            for p, t in zip(prompts, texts, strict=True)
        ]
        return list(zip(texts, ids, leads, strict=True))

    def weighed_after(self, request: Request, text: str) -> list[int]:
        """What is read before the options of a request are weighed: the prompt and the completion with its cue."""
        ids = request.ids + self.going_on([text])[0]
        return self.cut(ids, None if self.context is None else self.context - max(map(len, request.options)))[0]

    def markup(self) -> int:
        """How many tokens the chat template adds to a system and a user message, 0 if it refuses them."""
        prompt = Prompt((("system", "x"), ("user", "x")))
        try:
            texts = self._texts([prompt])
        except ModelError:  # said when it is asked
            return 0
        return len(self._prompts([prompt], texts)[0]) - sum(self.count(["x", "x"]))

    def _texts(self, prompts: Sequence[Prompt]) -> list[str]:
        return [self._chat(prompt) if prompt.messages else prompt.text for prompt in prompts]

    def _prompts(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[int]]:
        templated = [bool(prompt.messages) and self.tokenizer.chat_template is not None for prompt in prompts]
        starts = [[] if own else self._start for own in templated]  # a template writes its own start
        return [start + ids or self._nothing for start, ids in zip(starts, self._plain(texts), strict=True)]

    def cut(self, ids: list[int], room: int | None) -> tuple[list[int], int]:
        """The last ``room`` tokens, after the BOS token if there is one, and how many are left out."""
        if room is None or len(ids) <= room:
            return ids, 0
        start = self._start if ids[: len(self._start)] == self._start and room > len(self._start) else []
        return start + ids[len(ids) - room + len(start) :], len(ids) - room

    def going_on(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text behind something else."""
        after = self._plain([f"\n{text}" for text in texts])
        start = self._break
        if all(ids[: len(start)] == start for ids in after):
            return [ids[len(start) :] for ids in after]
        alone = self._plain(texts)  # where a line break melts into a text, the text is taken by itself
        return [
            ids[len(start) :] if ids[: len(start)] == start else other for ids, other in zip(after, alone, strict=True)
        ]

    def text(self, ids: Sequence[int]) -> str:
        """The words of a completion, without special tokens. Broken UTF-8 becomes U+FFFD."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def holding(self, characters: frozenset[str], size: int) -> list[bool]:
        """Which of the first ``size`` tokens can hold one of the characters, or a part of one."""
        if any(character.isspace() for character in characters):
            return [True] * size  # decoders may drop the blank of a token that stands alone
        if (characters, size) not in self._holding:  # a large vocabulary takes a second
            words = self.tokenizer.batch_decode([[token] for token in range(size)])
            found = [not characters.isdisjoint(word) or "\ufffd" in word for word in words]
            self._holding[characters, size] = found
        return self._holding[characters, size]

    def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has by itself, without special tokens."""
        return [len(ids) for ids in self._plain(texts)]

    def _plain(self, texts: Sequence[str]) -> list[list[int]]:
        clean = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates are no text
        return self.tokenizer(clean, add_special_tokens=False, verbose=False)["input_ids"] if clean else []

    def _chat(self, prompt: Prompt) -> str:
        from jinja2 import TemplateError

        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        if self.tokenizer.chat_template is None:
            if prompt.images:
                raise ModelError("this model has no chat template, so images have no place in its prompts")
            return self._layout(messages)
        system = messages[0]["content"].strip() if messages[0]["role"] == "system" else ""
        try:
            text = self._render(messages, len(prompt.images))
            if system in text:
                return text
        except TemplateError as error:
            if not system:
                raise self._refused(error) from None
        try:
            return self._render(_without_system(messages), len(prompt.images))
        except TemplateError as error:
            raise self._refused(error) from None

    def _render(self, messages: Messages, images: int) -> str:
        goes_on = messages[-1]["role"] == "assistant"
        text = self.tokenizer.apply_chat_template(
            messages if self._vision is None else self._vision.parts(messages, images),
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            **self._settings,
        )
        # templates of text models write their own start, those of processors rely on the tokenizer's
        start = self.tokenizer.bos_token if self._vision is not None and self._start else ""
        return text if text.startswith(start) else start + text

    def _layout(self, messages: Messages) -> str:
        if not self._told:
            self._told = True
            warnings.warn(
                "this model has no chat template: messages are written as 'System:', 'User:' and 'Assistant:'",
                stacklevel=2,
            )
        lines = [f"{message['role'].capitalize()}: {message['content']}" for message in messages]
        return "\n\n".join(lines if messages[-1]["role"] == "assistant" else [*lines, "Assistant:"])

    def _refused(self, error: Exception) -> ModelError:
        return ModelError(f"the model's chat template refuses the messages: {error}")


def _without_system(messages: Messages) -> Messages:
    """The system text in front of the first user message."""
    system, rest = messages[0]["content"], [dict(message) for message in messages[1:]]
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system}, *rest]
    rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
    return rest


def join_cue(text: str, prompt: Prompt) -> str:
    """A completion up to where the options are weighed: what it holds of the cue's beginning is not repeated."""
    if not prompt.options:
        return text
    sizes = range(min(len(text), len(prompt.cue)), 0, -1)
    held = next((size for size in sizes if text.endswith(prompt.cue[:size])), 0)
    return text[: len(text) - held] + prompt.cue

"""What an OpenAI-compatible server is sent for a prompt, and how its answer is read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vrsim.models.images import data_url, user_place
from vrsim.models.model import Completion, Prompt, Sampling
from vrsim.models.option_logprobs import Token, option_logprobs
from vrsim.models.sampling import prompt_key, until_stop
from vrsim.seeding import derive

__all__ = ["ADAPTABLE", "OWN", "BrokenReplyError", "adapt", "join_chunks", "read_reply", "request_body", "tokens_of"]

CUE_TOKENS = 16  # in which a chat model can write "<answer>" and a label
LISTED = 20  # most probable tokens asked for at each place; 5 where a server refuses that many
ADAPTABLE = ("max_tokens", "temperature", "top_p", "seed", "stop", "top_logprobs", "logprobs", "stream_options")
"""Fields that some server refuses, and without which it can be asked all the same."""
OWN = ("model", "messages", "prompt", "stream", "n")
"""Fields that are never anybody else's."""


class BrokenReplyError(ValueError):
    """An answer of a server without the words that it must have."""


def request_body(model: str, prompt: Prompt, sampling: Sampling, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request; equal prompt, sampling and ``extra`` give equal fields.

    Where only the probabilities of options are wanted (``max_tokens`` 0) one token is asked for, and a cue stands at
    the end of the prompt. No server is sure to go on with a cue in a chat, so there a few tokens are asked for, in
    which the model has to write it.
    """
    chat, weighed = bool(prompt.messages), bool(prompt.options)
    size = sampling.max_tokens or (CUE_TOKENS if chat and prompt.cue else 1)
    body = {"model": model, "max_tokens": size, "temperature": sampling.temperature}
    body |= {"top_p": sampling.top_p, "seed": _seed(prompt, sampling.seed)}
    if (stop := _stops(prompt, sampling)) and not chat:  # a chat may think aloud, and speak of its answer there
        body["stop"] = list(stop)
    if chat:
        body["messages"] = _messages(prompt)
    else:
        body["prompt"] = _clean(prompt.text if sampling.max_tokens else prompt.text + prompt.cue)
    if weighed:
        body |= {"logprobs": True, "top_logprobs": LISTED} if chat else {"logprobs": LISTED}
    return body | dict(extra)


def adapt(body: dict[str, Any], refused: Sequence[str]) -> dict[str, Any]:
    """The next best request for a server that refused these fields, in order."""
    body = dict(body)
    for field in refused:
        value = body.pop(field, None)
        if field == "max_tokens" and value is not None:
            body["max_completion_tokens"] = value
        elif value == LISTED and field in ("logprobs", "top_logprobs"):
            body[field] = 5
        elif field == "logprobs":
            body.pop("top_logprobs", None)
    return body


def read_reply(reply: Any, prompt: Prompt, sampling: Sampling) -> Completion:
    """The completion that a decoded answer holds, its tokens 0 where the server does not count them.

    Thoughts that came apart from the words stand in front, in <think>...</think>. Where options were weighed after
    a cue, its last tag ends the text; where no probabilities were offered, the text is left as it is. Raises
    BrokenReplyError.
    """
    try:
        choice = reply["choices"][0]
        finish = choice.get("finish_reason")
        text, thoughts = _words(choice)
        stops = _stops(prompt, sampling)
        text = until_stop(text, stops)[0] if prompt.messages else _stopped(text, stops, choice)
        tokens = _tokens(choice.get("logprobs") or {}) if prompt.options else []
        cue = _last_tag(prompt.cue) if prompt.messages or sampling.max_tokens else ""
        logprobs = option_logprobs(tokens, prompt.options, cue) if tokens else None
        counts = tokens_of(reply)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BrokenReplyError(f"expected an answer with choices, found {str(reply)[:200]}") from error
    if finish == "content_filter" and not text:
        return Completion("", "failed", *counts)
    if sampling.max_tokens == 0:
        return Completion(prompt.cue if prompt.options else "", "stop", *counts, logprobs=logprobs)
    if not (text.strip() or (finish == "length")):
        raise BrokenReplyError("the answer is empty")
    if logprobs is not None and cue in text:
        text = text[: text.rfind(cue) + len(cue)] if cue else text
    if thoughts and "<think>" not in text:
        text = f"<think>{thoughts}</think>{text}" if text else f"<think>{thoughts}"
    return Completion(text, "length" if finish == "length" else "stop", *counts, logprobs=logprobs)


def tokens_of(reply: Any) -> list[int]:
    """The tokens read and written by the server's own count, 0 where there is none."""
    usage = reply.get("usage") if isinstance(reply, Mapping) else None
    found = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")] if isinstance(usage, Mapping) else []
    return [number if type(number) is int else 0 for number in found] or [0, 0]


def join_chunks(chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The answer that the pieces of a stream make together. Raises BrokenReplyError where its end is missing."""
    message, plain, usage = {"content": "", "reasoning": ""}, "", None
    listed: list[dict[str, Any]] = []
    end: dict[str, Any] = {}
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in (chunk.get("choices") or [])[:1]:
            content, thoughts = piece_of(choice)
            message["content"] += content
            message["reasoning"] += thoughts
            plain += choice.get("text") or ""
            listed.append(choice.get("logprobs") or {})
            if choice.get("finish_reason"):
                end = choice
    if not end:
        raise BrokenReplyError("the stream ended before the answer did")
    logprobs = {
        key: [x for part in listed for x in part.get(key) or []] for key in ("content", "tokens", "top_logprobs")
    }
    words = {"text": plain} if "text" in end else {"message": message}
    return {"choices": [{**end, **words, "logprobs": logprobs}], "usage": usage}


def piece_of(choice: Mapping[str, Any]) -> tuple[str, str]:
    """The words and the thoughts of one piece of a stream."""
    delta = choice.get("delta") or {}
    words = delta.get("content") or choice.get("text") or ""
    return words, delta.get("reasoning_content") or delta.get("reasoning") or ""


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": role, "content": _clean(text)} for role, text in prompt.messages]
    if prompt.images:
        last = messages[user_place(prompt)]
        images = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in prompt.images]
        last["content"] = [*images, {"type": "text", "text": last["content"]}]
    return messages


def _seed(prompt: Prompt, seed: int) -> int:
    return derive(seed, "server", prompt_key(prompt)) & 0x7FFFFFFF  # servers take 32 bits with a sign


def _stops(prompt: Prompt, sampling: Sampling) -> tuple[str, ...]:
    """Without those inside the cue: a server has to write the cue and what follows it by itself."""
    return tuple(word for word in sampling.stop if not (prompt.options and word in prompt.cue))


def _last_tag(cue: str) -> str:
    """What is looked for in an answer: a model may write a line break between the tags of a cue."""
    tags = re.findall(r"<[^<>]*>", cue)
    return tags[-1] if tags else cue


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no server can be sent."""
    return text.encode("utf-8", "replace").decode()


def _words(choice: Mapping[str, Any]) -> tuple[str, str]:
    if "text" in choice:
        return choice["text"] or "", ""
    message = choice["message"]
    text = message.get("content") or message.get("refusal") or ""
    if not isinstance(text, str):
        raise TypeError("the words of an answer are a text")
    return text, message.get("reasoning_content") or message.get("reasoning") or ""


def _stopped(text: str, stop: Sequence[str], choice: Mapping[str, Any]) -> str:
    """The text up to the first stop, with it, although most servers leave it out.

    vLLM says which one it was. Elsewhere a missing closing tag is put back where its opening tag still waits.
    """
    ends = [text.find(word) + len(word) for word in stop if word in text]
    if ends:
        return text[: min(ends)]
    if choice.get("finish_reason") != "stop":
        return text
    if "stop_reason" in choice:
        return text + (choice["stop_reason"] if choice["stop_reason"] in stop else "")
    open_tags = [word for word in stop if word.startswith("</") and word.replace("/", "", 1) in text]
    return text + (open_tags[0] if open_tags else "")


def _tokens(logprobs: Mapping[str, Any]) -> list[Token]:
    """The tokens of a chat completion or, in the older form, of a completion."""
    if logprobs.get("content"):
        return [
            (token["token"], {other["token"]: float(other["logprob"]) for other in token["top_logprobs"]})
            for token in logprobs["content"]
        ]
    listed = logprobs.get("top_logprobs") or []
    return [(token, dict(others or {})) for token, others in zip(logprobs.get("tokens") or [], listed, strict=True)]

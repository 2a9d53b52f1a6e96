"""Asks a server for a batch of prompts: many calls at once, tried again until they are answered."""

import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from vrsim.models.background import Tell
from vrsim.models.exchange import (
    BrokenReplyError,
    adapt,
    join_chunks,
    piece_of,
    read_reply,
    request_body,
    tokens_of,
)
from vrsim.models.model import END, PAUSE, Asked, Completion, Conversation, Listener, Prompt, Sampling
from vrsim.models.retries import LONGEST_WAIT, Trouble, asked_wait, back_off, judge, quota_wait

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from vrsim.models.server import ServerConfig

__all__ = ["Calls", "Known", "RefusalError"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

UNKNOWN_RETRIES = 2  # for a server that nobody has reached yet: a wrong address is said soon
COSTLY = ("temperature", "top_p", "seed", "stop")  # what changes the answers where it is left out


class RefusalError(Exception):
    """The server answers nobody, for the reason in ``trouble``."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


@dataclass
class Known:
    """What has been found out about a server."""

    reached: bool = False  # whether it has ever said anything
    refused: list[str] = field(default_factory=list)  # fields that it does not take, in the order in which it said so
    failed: bool = False  # whether a prompt has been given up


class Calls:
    """The calls of one ``converse``. No reason that it gives contains the client's key."""

    def __init__(
        self,
        config: "ServerConfig",
        client: "AsyncOpenAI",
        known: Known,
        tokens: Callable[[Sequence[str]], list[int]],
        tell: Tell,
    ) -> None:
        self.config, self.client, self.known = config, client, known
        self.tokens, self.tell = tokens, tell
        self.stop = asyncio.Event()  # no new call is made
        self.error: Exception | None = None  # the first one, raised when all calls under way have ended
        self.misses = 0  # calls in a row that did not reach the server
        self.answered = 0
        self.under_way = self.at_once = 0  # conversations, and the most of them so far
        self.resume = 0.0  # of time.monotonic(): nobody calls before

    async def hold(self, conversations: Iterator[Conversation[T] | None], listen: Listener | None = None) -> list[T]:
        """What the conversations return, in order. Raises what one of them or their iterator raised, or RefusalError.

        ``listen`` hears the pieces of every answer.
        """
        found: dict[int, T] = {}
        places, turn = count(), asyncio.Lock()

        def go_on(place: int, conversation: Conversation[T], completion: Completion | None) -> Asked | None:
            try:
                return conversation.send(completion)
            except StopIteration as end:
                found[place] = end.value
                return None

        async def take() -> Conversation[T] | None:
            while not self.stop.is_set():
                conversation = await self.tell(next, conversations, END)
                if conversation is not None:
                    return None if conversation is END else conversation
                await asyncio.sleep(PAUSE)
            return None

        async def work() -> None:
            while True:
                try:
                    async with turn:  # one waits for the next, and their places are in order
                        conversation, place = await take(), next(places)
                    if conversation is None:
                        return
                    self.under_way += 1
                    self.at_once = max(self.at_once, self.under_way)
                    asked = await self.tell(go_on, place, conversation, None)
                    while asked is not None:
                        completion = await self._complete(*asked, listen)
                        if completion is None:
                            return
                        asked = await self.tell(go_on, place, conversation, completion)
                    self.under_way -= 1
                    await asyncio.sleep(0)  # others go on, also where a store has all the answers
                except Exception as error:  # the others are still waited for; raised below
                    self.error = self.error or error
                    self.stop.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(self.config.concurrency):
                group.create_task(work())
        if self.error:
            raise self.error
        return [found[place] for place in sorted(found)]

    async def _complete(self, prompt: Prompt, sampling: Sampling, listen: Listener | None) -> Completion | None:
        """The answer after as many tries as it takes; None where the work has been stopped meanwhile."""
        wanted = request_body(self.config.model, prompt, sampling, self.config.extra)
        if listen:
            wanted["stream_options"] = {"include_usage": True}
        tries, answered, wait = 0, -1, 0.0
        spent = [0, 0]  # tokens read and written by tries without a usable answer, which are paid all the same
        while await self._wait(wait):
            refused = len(self.known.refused)
            body = adapt(wanted, self.known.refused)
            started = time.perf_counter()
            found = await self._try(body, prompt, sampling, listen, spent)
            if isinstance(found, Completion):
                self.answered += 1
                found = self._counted(replace(found, seconds=time.perf_counter() - started), prompt)
                read, written = found.prompt_tokens + spent[0], found.completion_tokens + spent[1]
                return replace(found, prompt_tokens=read, completion_tokens=written)
            trouble = replace(found, reason=found.reason.replace(self.client.api_key, "[key]"))
            if trouble.kind == "prompt":
                return self._failed(trouble, spent)
            if trouble.kind == "all":
                raise RefusalError(trouble)
            wait = 0.0
            if trouble.kind == "field":
                if refused == len(self.known.refused):  # else another call was told so first
                    self._leave_out(trouble)
                continue
            # while others are answered, a limited call has only to wait for its turn
            tries += trouble.kind != "limited" or answered == self.answered
            answered = self.answered
            if tries > (self.config.retries if self.known.reached else min(UNKNOWN_RETRIES, self.config.retries)):
                if self.misses >= self.at_once:
                    raise RefusalError(trouble)
                return self._failed(trouble, spent)
            wait = back_off(tries, self.config.backoff)
        return None

    async def _wait(self, seconds: float) -> bool:
        """Wait for this call's turn, and for everybody's; False where no call may be made any more."""
        until = time.monotonic() + seconds
        while (rest := max(until, self.resume) - time.monotonic()) > 0 and not self.stop.is_set():
            if rest > LONGEST_WAIT:
                raise RefusalError(Trouble("limited", f"no calls for another {rest:.0f} seconds", status=429))
            try:
                await asyncio.wait_for(self.stop.wait(), rest)
            except TimeoutError:
                continue
        return not self.stop.is_set()

    async def _try(
        self, body: dict[str, Any], prompt: Prompt, sampling: Sampling, listen: Listener | None, spent: list[int]
    ) -> Completion | Trouble:
        """One call. What it costs without a usable answer is added to ``spent``."""
        from openai import APIConnectionError, APIError, APIStatusError

        try:
            reply = await (self._stream(body, listen) if listen else self._call(body))
            try:
                return read_reply(reply, prompt, sampling)
            except BrokenReplyError:
                for place, tokens in enumerate(tokens_of(reply)):
                    spent[place] += tokens
                raise
        except APIStatusError as error:
            self._heard(error.response.headers)
            return judge(error.status_code, error.body, body)
        except APIConnectionError as error:
            cause = type(error.__cause__).__name__  # the HTTP library changes from version to version
            if cause not in ("ConnectError", "ConnectTimeout", "UnsupportedProtocol", "ProxyError"):
                return Trouble("again", f"{cause}: {error}")
            self.misses += 1
            return Trouble("unreached", str(error.__cause__) or cause)
        except (APIError, ValueError) as error:  # an error inside a stream, broken JSON, BrokenReplyError
            return Trouble("again", str(error))

    async def _call(self, body: dict[str, Any]) -> Any:
        raw = await self._create(self._endpoint(body).with_raw_response, body)
        self._heard(raw.headers)
        return raw.http_response.json()

    async def _stream(self, body: dict[str, Any], listen: Listener) -> Any:
        """A streamed answer, passed on piece by piece; after a cut it is heard again from its beginning."""
        chunks, thinking = [], False
        stream = await self._create(self._endpoint(body), body, stream=True)
        self._heard(stream.response.headers)
        async with stream:
            async for chunk in stream:
                chunks.append(chunk.model_dump(exclude_unset=True))
                words, thoughts = piece_of((chunks[-1].get("choices") or [{}])[0])
                piece = (
                    ("<think>" if thoughts and not thinking else "")
                    + thoughts
                    + ("</think>" if thinking and words else "")
                    + words
                )
                thinking = bool(thoughts) or (thinking and not words)
                if piece:
                    await self.tell(listen, piece)
        return join_chunks(chunks)

    def _endpoint(self, body: Mapping[str, Any]) -> Any:
        return self.client.chat.completions if "messages" in body else self.client.completions

    async def _create(self, endpoint: Any, body: dict[str, Any], **more: Any) -> Any:
        """All fields as ``extra_body``, so that none is checked or changed: that would double the time of a call."""
        needed = {key: body[key][:0] for key in ("messages", "prompt") if key in body}  # replaced by the fields below
        return await endpoint.create(model=self.config.model, **needed, **more, extra_body=body)

    def _heard(self, headers: Mapping[str, str]) -> None:
        """Note that the server speaks, and how long it wants to be left in peace by everybody."""
        self.known.reached, self.misses = True, 0
        fields, now = dict(headers), time.time()
        wait = max(asked_wait(fields, now), quota_wait(fields, now))
        if wait:
            self.resume = max(self.resume, time.monotonic() + wait)

    def _failed(self, trouble: Trouble, spent: list[int]) -> Completion:
        """The completion of a prompt that is given up; the first reason is said."""
        if not self.known.failed:
            self.known.failed = True
            _log.warning(
                "%s: no answer to a prompt: %s (more of them are counted only)", self.config.model, trouble.reason
            )
        return Completion("", "failed", *spent)

    def _leave_out(self, trouble: Trouble) -> None:
        self.known.refused.append(trouble.field)
        if trouble.field in COSTLY:
            warnings.warn(
                f"{self.config.model} does not take {trouble.field!r} and is asked without it: {trouble.reason}",
                stacklevel=2,
            )

    def _counted(self, completion: Completion, prompt: Prompt) -> Completion:
        """With guessed numbers of tokens where the server gave none."""
        if completion.prompt_tokens:
            return completion
        words = "\n".join(text for _, text in prompt.messages) or prompt.text
        asked, written = self.tokens([words, completion.text])
        return replace(completion, prompt_tokens=asked, completion_tokens=written)

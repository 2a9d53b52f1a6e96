"""A small OpenAI-compatible server that says what it is told to say, and fails as it is told to fail.

In a test: ``with ChatServer(answer) as server: ... server.url ... server.counts``. As a process of its own, for
benchmarks and for runs that are killed: ``python tests/chat_server.py --delay 0.2 --faults 0.1`` prints its address;
GET /counts answers with the number of requests per prompt.
"""

import argparse
import asyncio
import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

FAULTS = ("429", "500", "stall", "broken", "empty", "cut", "reset")


@dataclass(frozen=True)
class Reply:
    """One answer of the server."""

    text: str = "<think>because</think><answer>A</answer>"
    status: int = 200
    error: dict[str, Any] = field(default_factory=dict)  # of a status that is not 200
    headers: dict[str, str] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)  # more fields beside "content"
    choice: dict[str, Any] = field(default_factory=dict)  # more fields beside "message"
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 5})
    fault: str = ""  # "stall" says nothing, "broken" is no JSON, "cut" ends in the middle, "reset" at once
    delay: float = 0.0  # seconds before it is said


Answer = Callable[[dict[str, Any], int], Reply]
"""The reply to the fields of a request, and how often its prompt was asked before."""


def tidy(request: dict[str, Any], before: int) -> Reply:
    """An answer that depends on the prompt alone."""
    return Reply(f"<think>{prompt_of(request)}</think><answer>A</answer>")


def faulty(share: float, delay: float = 0.0) -> Answer:
    """The same, but this share of all calls fail, each kind of fault equally often."""

    def answer(request: dict[str, Any], before: int) -> Reply:
        good = tidy(request, before)
        draw = zlib.crc32(f"{before} {prompt_of(request)}".encode())
        if draw % 10_000 >= share * 10_000:
            return Reply(good.text, delay=delay)
        fault = FAULTS[draw // 10_000 % len(FAULTS)]
        if fault == "429":
            return Reply(status=429, error={"message": "slow down"}, headers={"retry-after-ms": "50"})
        if fault == "500":
            return Reply(status=500, error={"message": "overloaded"})
        return Reply("", delay=delay) if fault == "empty" else Reply(good.text, fault=fault, delay=delay)

    return answer


def prompt_of(request: dict[str, Any]) -> str:
    """The words of a request: its last message without images, or its text."""
    words = request["messages"][-1]["content"] if "messages" in request else request["prompt"]
    return words if isinstance(words, str) else "".join(part.get("text", "") for part in words)


class ChatServer:
    """The server in a thread of this process; ``answer`` says what it replies, ``key`` is the only key it takes."""

    def __init__(self, answer: Answer = tidy, key: str | None = None, port: int = 0) -> None:
        self.answer, self.key, self.port = answer, key, port
        self.requests: list[dict[str, Any]] = []  # their fields, in order
        self.paths: list[str] = []
        self.keys: set[str] = set()  # every Authorization that was sent
        self.counts: Counter[str] = Counter()  # requests per prompt
        self.most = self._now = 0  # requests at the same time

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "ChatServer":
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready.set)))
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()

    def end(self) -> None:
        """Close all connections; from then on nobody can connect."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    async def serve(self, ready: Callable[[], None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        links: set[asyncio.Task] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            link = asyncio.create_task(self._talk(reader, writer))
            links.add(link)
            link.add_done_callback(links.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await self._over.wait()
        server.close()
        for link in list(links):
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False where the connection ends."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        path = first.split()[1]
        if path == "/counts":
            writer.write(b"".join(_whole(200, dict(self.counts), {})))
            return True
        request = json.loads(await reader.readexactly(int(fields["content-length"])))
        prompt = prompt_of(request)
        before = self.counts[prompt]
        self.counts[prompt] += 1
        self.requests.append(request)
        self.paths.append(path)
        self.keys.add(fields.get("authorization", ""))
        if self.key is not None and fields.get("authorization") != f"Bearer {self.key}":
            # as careless as some servers: it repeats what it was sent
            reply = Reply(status=401, error={"message": f"wrong key {fields.get('authorization')}"})
        else:
            reply = self.answer(request, before)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(3600 if reply.fault == "stall" else reply.delay)
        finally:
            self._now -= 1
        if reply.fault == "reset":
            return False
        streamed = request.get("stream") and reply.status == 200
        pieces = list(_stream(reply, request) if streamed else _answer(reply, request))
        if reply.fault == "cut":
            pieces = pieces[: len(pieces) // 2] if streamed else [pieces[0][:-9]]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return reply.fault != "cut"


def _answer(reply: Reply, request: dict[str, Any]) -> Iterator[bytes]:
    if reply.status != 200:
        return _whole(reply.status, {"error": reply.error}, reply.headers)
    words = {"message": {"role": "assistant", "content": reply.text, **reply.message}}
    words = words if "messages" in request else {"text": reply.text}
    body = {"choices": [{"index": 0, "finish_reason": "stop", **words, **reply.choice}]}
    if reply.usage:
        body["usage"] = reply.usage
    return _whole(200, "so sorry <html>" if reply.fault == "broken" else body, reply.headers)


def _whole(status: int, body: Any, headers: dict[str, str]) -> Iterator[bytes]:
    text = (body if isinstance(body, str) else json.dumps(body)).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n{more}\r\n"
    yield head.encode() + text


def _stream(reply: Reply, request: dict[str, Any]) -> Iterator[bytes]:
    """Server-sent events: the thoughts and the words in pieces of four characters, the end, the usage."""
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    yield f"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{more}\r\n".encode()
    if "messages" in request:
        words = [*reply.message.items(), ("content", reply.text)]
        parts = [{"delta": {name: text[k : k + 4]}} for name, text in words for k in range(0, len(text), 4)]
    else:
        parts = [{"text": reply.text[k : k + 4]} for k in range(0, len(reply.text), 4)]
    end = {"delta": {}} if "messages" in request else {"text": ""}
    parts = [*({**part, "finish_reason": None} for part in parts), {**end, "finish_reason": "stop", **reply.choice}]
    events: list[dict[str, Any]] = [{"choices": [{"index": 0, **part}]} for part in parts]
    if reply.usage:
        events.append({"choices": [], "usage": reply.usage})
    for event in events:
        text = "{oh no" if reply.fault == "broken" else json.dumps(event)
        yield _chunk(f"data: {text}\n\n")
    yield _chunk("data: [DONE]\n\n") + b"0\r\n\r\n"


def _chunk(text: str) -> bytes:
    return f"{len(text.encode()):x}\r\n{text}\r\n".encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 = a free one")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--faults", type=float, default=0.0, help="share of calls that fail")
    options = parser.parse_args()
    server = ChatServer(faulty(options.faults, options.delay), port=options.port)
    asyncio.run(server.serve(lambda: print(server.url, flush=True)))


if __name__ == "__main__":
    main()

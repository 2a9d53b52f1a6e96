"""Language models behind an OpenAI-compatible server: OpenAI itself, vLLM, and most others.

A prompt of messages goes to ``chat/completions``, a prompt of plain text to ``completions``. Images go as data URLs
in front of the last user message's words; their size and their tokens are what the server makes of them. What a
server refuses because of one prompt (its content, a prompt longer than the model's context) is a failed completion;
set ``context`` so that prompts are cut before. What it refuses to everybody (a wrong key, an unknown model, no
credit) raises ModelError. Fields that a model does not take are left out from then on: ``max_tokens`` becomes
``max_completion_tokens``, and a warning says so where the answers change.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from vrsim.errors import DependencyError, ModelError, OptionError
from vrsim.models.background import Tell, run_to_end
from vrsim.models.calls import Calls, Known, RefusalError
from vrsim.models.exchange import OWN
from vrsim.models.images import check_images
from vrsim.models.model import Completion, Conversation, Done, Listener, Model, Prompt, Sampling, ignore
from vrsim.models.retries import Trouble

__all__ = ["ServerConfig", "ServerModel"]

T = TypeVar("T")

MOST = 1000  # calls at once


@dataclass(frozen=True)
class ServerConfig:
    """Which model on which server, and how it is asked."""

    model: str  # as the server calls it
    base_url: str | None = None  # mostly ends with "/v1"; None = the variable OPENAI_BASE_URL, or else OpenAI itself
    key: str = "OPENAI_API_KEY"  # the environment variable that holds the key, never the key itself; "" = no key
    concurrency: int = 64  # calls at once, 1 to 1000
    timeout: float = 300.0  # seconds without a byte of the server after which a call is given up
    retries: int = 8  # more tries of a prompt after the first one
    backoff: float = 0.5  # seconds before the second try, at most; doubled each time, up to a minute
    context: int | None = None  # tokens that prompt and completion may have together, None = unknown
    extra: Mapping[str, Any] = field(
        default_factory=dict
    )  # more fields of each request, e.g. {"reasoning_effort": "low"}

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise OptionError(f"model must be the name of a model as the server calls it, found {self.model!r}")
        if not isinstance(self.key, str) or not re.fullmatch(r"([A-Z_][A-Z0-9_]*)?", self.key):
            raise OptionError(
                "key must be the name of an environment variable in capital letters, such as OPENAI_API_KEY, "
                "and holds no key itself; what was found is not shown"
            )
        for name, least, most in (("concurrency", 1, MOST), ("retries", 0, None), ("context", 1, None)):
            value = getattr(self, name)
            if name == "context" and value is None:
                continue
            if type(value) is not int or value < least or (most and value > most):
                raise OptionError(
                    f"{name} must be an integer from {least}{f' to {most}' if most else ''}, found {value!r}"
                )
        for name in ("timeout", "backoff"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise OptionError(f"{name} must be a number of seconds above 0, found {value!r}")
        _check_extra(self.extra)
        if self.base_url is not None:
            _check_url(self.base_url, "base_url")


class ServerModel(Model):
    """A model that is asked over HTTP. Needs ``pip install openai``."""

    def __init__(self, config: ServerConfig) -> None:
        """Nothing is asked and no key is needed before ``generate``. Raises OptionError."""
        self.config, self.context = config, config.context
        self.base_url = config.base_url or os.environ.get("OPENAI_BASE_URL") or None
        if self.base_url:
            _check_url(self.base_url, "OPENAI_BASE_URL")
        self.name = f"openai:{config.model}"
        if self.base_url:
            url = urlsplit(self.base_url)
            self.name += f"@{url.netloc}{url.path.rstrip('/')}"
        if config.extra:
            self.name += "#" + hashlib.sha256(json.dumps(dict(config.extra), sort_keys=True).encode()).hexdigest()[:8]
        self._known = Known()

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, done: Done = ignore, listen: Listener | None = None
    ) -> list[Completion]:
        """See Model. Raises ModelError for a wrong key, an unknown model, or a server that nobody can reach.

        ``done`` and ``listen`` are called in the caller's thread, also where an event loop is running in it.
        """
        if not prompts:
            return []
        found: dict[int, Completion] = {}

        def ask(place: int) -> Conversation[None]:
            found[place] = completion = yield prompts[place], sampling
            done(place, completion)

        check_images(prompts)
        self._hold(map(ask, range(len(prompts))), listen if len(prompts) == 1 else None)
        return [found[place] for place in range(len(prompts))]

    def converse(self, conversations: Iterable[Conversation[T] | None]) -> list[T]:
        """See Model: each goes on as soon as its answer is there, so many at once as ``concurrency`` says.

        They are gone on with in the caller's thread. Raises what ``generate`` raises.
        """
        return self._hold(iter(conversations))

    def _hold(self, conversations: Iterator[Conversation[T] | None], listen: Listener | None = None) -> list[T]:
        try:
            import openai
        except ImportError as error:
            raise DependencyError("models behind a server need the package openai: pip install openai") from error
        key = self._key()

        async def work(tell: Tell) -> list[T]:
            timeout = openai.Timeout(self.config.timeout, connect=min(10.0, self.config.timeout), pool=None)
            client = openai.AsyncOpenAI(api_key=key, base_url=self.base_url, max_retries=0, timeout=timeout)
            async with client:
                return await Calls(self.config, client, self._known, self.count, tell).hold(conversations, listen)

        try:
            return run_to_end(work)
        except RefusalError as error:
            raise ModelError(f"{self.name}: {self._advice(error.trouble)}") from None

    def warm_up(self) -> None:
        """Import the client, which takes half a second; where it is not installed the first question says so."""
        with suppress(ImportError):
            import openai  # noqa: F401

    def _key(self) -> str:
        """The key, "no-key" for a server that needs none. Raises ModelError, which does not show it."""
        key = os.environ.get(self.config.key, "").strip()
        if not key and not self.base_url:
            raise ModelError(
                f"{self.name}: no key; set the environment variable {self.config.key or 'OPENAI_API_KEY'}, name "
                "another one with key=NAME, or give base_url=URL for a server without a key"
            )
        if not (key.isascii() and key.isprintable()):
            raise ModelError(
                f"{self.name}: the variable {self.config.key} holds something else than a key; set it again"
            )
        return key or "no-key"

    def _advice(self, trouble: Trouble) -> str:
        """What happened and what helps, in one sentence."""
        reason = f"{trouble.reason} (status {trouble.status})" if trouble.status else trouble.reason
        if trouble.status == 401:  # the reason may show parts of the key
            if not os.environ.get(self.config.key):
                name = self.config.key or "that key=NAME names"
                return f"the server asks for a key (status 401); set the environment variable {name}"
            return f"the server does not accept the key in {self.config.key} (status 401); set it to a valid one"
        if trouble.status == 403:
            return f"the key in {self.config.key} does not give access: {reason}; use another key or model"
        if trouble.status == 404:
            return f"the server does not know the model or the address: {reason}; check the name and the base_url"
        if trouble.status in (402, 429):
            return f"the server's limit or the account's credit is spent: {reason}; go on when there is more"
        if trouble.kind == "all":
            return f"the server refuses the request: {reason}; check the name of the model and the options"
        return f"the server cannot be reached: {reason}; check that it runs, and the base_url"


def _check_url(url: Any, name: str) -> None:
    """Raise OptionError, which never shows the address: it may hold a secret."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise OptionError(f"{name} must be an address such as http://localhost:8000/v1; what was found is not shown")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise OptionError(f"{name} must hold no user, password, ? or #; a key comes from the environment: key=NAME")


def _check_extra(extra: Any) -> None:
    try:
        good = isinstance(extra, Mapping) and isinstance(json.dumps(dict(extra), allow_nan=False), str)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise OptionError(f"extra must be a dict of plain data, found {extra!r}")
    for name in OWN:
        if name in extra:
            raise OptionError(f"extra cannot hold {name!r}, which is made from the prompt and the other options")

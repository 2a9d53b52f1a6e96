"""What the calls of language models cost, and the budget that ends a run before it costs more."""

import json
import math
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vrsim.errors import BudgetError, OptionError, ResultsError
from vrsim.models.model import Completion

__all__ = ["FREE", "PRICES", "Ledger", "Price", "Usage"]


@dataclass(frozen=True)
class Price:
    """What a model charges, in dollars per million tokens."""

    input: float  # of the prompt
    output: float  # of the completion, hidden reasoning included

    def __post_init__(self) -> None:
        for value in (self.input, self.output):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise OptionError(f"a price is two numbers from 0, in dollars per million tokens; found {value!r}")

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars, to 12 decimals."""
        return round((prompt_tokens * self.input + completion_tokens * self.output) / 1e6, 12)


FREE = Price(0.0, 0.0)  # of models that run here

PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "gpt-3.5-turbo": Price(0.50, 1.50),  # since 2024-01-25
        "gpt-4o": Price(2.50, 10.00),  # since 2024-10-02
        "gpt-4o-2024-08-06": Price(2.50, 10.00),  # since 2024-08-06
        "gpt-4o-2024-11-20": Price(2.50, 10.00),  # since 2024-11-20
        "gpt-4o-mini": Price(0.15, 0.60),  # since 2024-07-18
        "gpt-4o-mini-2024-07-18": Price(0.15, 0.60),  # since 2024-07-18
        "gpt-4.1": Price(2.00, 8.00),  # since 2025-04-14
        "gpt-4.1-mini": Price(0.40, 1.60),  # since 2025-04-14
        "gpt-4.1-nano": Price(0.10, 0.40),  # since 2025-04-14
        "deepseek-v4-flash": Price(0.14, 0.28),  # as of 2026-05-22
        "deepseek-chat": Price(0.14, 0.28),  # as of 2026-05-22: deepseek-v4-flash that does not think
        "deepseek-reasoner": Price(0.14, 0.28),  # as of 2026-05-22: deepseek-v4-flash that thinks
    }
)
"""List prices of hosted models by their exact names, without discounts for batches or cached prompts."""


@dataclass(frozen=True)
class Usage:
    """What was asked and what it cost. Completions from a store are counted in ``reused`` and nowhere else."""

    calls: int = 0  # completions that were asked for, also those that failed
    reused: int = 0  # completions that were there already
    prompt_tokens: int = 0  # of the calls
    completion_tokens: int = 0  # of the calls
    seconds: float = 0.0  # of the calls; those of calls at the same time add up
    dollars: float | None = 0.0  # None = some call had no known price
    failed: int = 0  # of the calls: no answer after every try

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        known = self.dollars is not None and other.dollars is not None
        return Usage(
            self.calls + other.calls,
            self.reused + other.reused,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
            self.dollars + other.dollars if known else None,
            self.failed + other.failed,
        )

    @staticmethod
    def of(completions: Sequence[Completion], price: Price | None) -> "Usage":
        """The usage of completions of one model; ``price`` None = unknown."""
        paid = [completion for completion in completions if not completion.reused]
        prompt = sum(completion.prompt_tokens for completion in paid)
        written = sum(completion.completion_tokens for completion in paid)
        seconds = round(sum((completion.seconds for completion in paid), 0.0), 6)
        dollars = 0.0 if not paid else None if price is None else price.of(prompt, written)
        failed = sum(completion.finish == "failed" for completion in paid)
        return Usage(len(paid), len(completions) - len(paid), prompt, written, seconds, dollars, failed)


class Ledger:
    """The costs of a run by agent and model, kept in a file that a continued run reads again.

    The file has one JSON line per booking: agent, model and the fields of its Usage. One process writes it; its
    threads may book at the same time.
    """

    def __init__(self, path: Path | None = None, limit: float | None = None, token_limit: int | None = None) -> None:
        """``path`` None = no file; ``limit`` in dollars and ``token_limit``, prompts and completions: None = none.

        Raises OptionError for a limit that is not above 0 or cannot be kept, ResultsError for a damaged file.
        """
        for name, value, kinds in (("limit", limit, int | float), ("token_limit", token_limit, int)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not value > 0):
                raise OptionError(f"{name} must be a number above 0 or None, found {value!r}")
        self.path, self.limit, self.token_limit = path, limit, token_limit
        self._lock = threading.Lock()
        self._usage: dict[tuple[str, str], Usage] = {}
        self._total = Usage()
        self._end = 0  # bytes of the file
        if path is not None:
            self._read(path)
        for (_, model), usage in self._usage.items():
            if limit is not None and usage.dollars is None:
                raise OptionError(
                    f"{path} holds calls of {model} without a price, so a limit in dollars cannot be kept: limit the "
                    "tokens instead, or start a new run"
                )

    @property
    def usage(self) -> dict[tuple[str, str], Usage]:
        """The usage by (agent, model)."""
        with self._lock:
            return dict(self._usage)

    @property
    def total(self) -> Usage:
        """The usage of all agents and models."""
        return self._total

    def accept(self, model: str, price: Price | None) -> None:
        """Raise OptionError if a limit in dollars cannot be kept because the price of a model is not known."""
        if self.limit is not None and price is None:
            raise OptionError(
                f"the price of {model} is not known, so a limit in dollars cannot be kept: give input_price= and "
                "output_price= in dollars per million tokens (0 = free), or limit the tokens instead"
            )

    def check(self) -> None:
        """Raise BudgetError if a limit is reached."""
        total = self._total
        found = None
        if self.limit is not None and total.dollars is not None and total.dollars >= self.limit:
            found = f"{total.dollars:.6g} of {self.limit:g} dollars"
        if self.token_limit is not None and total.tokens >= self.token_limit:
            found = f"{total.tokens:,} of {self.token_limit:,} tokens"
        if found is not None:
            raise BudgetError(
                f"the budget is spent: {found}; what is recorded or stored is kept, and the same command with a larger "
                "budget goes on from there"
            )

    def book(self, agent: str, model: str, completion: Completion, price: Price | None) -> None:
        """Add one completion, as ``book_many`` does."""
        self.book_many(agent, model, [completion], price)

    def book_many(self, agent: str, model: str, completions: Sequence[Completion], price: Price | None) -> None:
        """Add completions of one model as one line of the file; ``price`` None = unknown.

        Raises, with the costs added: BudgetError if a limit is reached. Raises, with nothing added: OptionError for
        an unknown price where there is a limit in dollars, ResultsError if the file cannot be written.
        """
        self.accept(model, price)
        usage = Usage.of(completions, price)
        self.add(agent, model, usage)
        self.check()

    def add(self, agent: str, model: str, usage: Usage) -> None:
        """Add what was spent, as one line of the file. Raises ResultsError, with nothing added."""
        with self._lock:
            if self.path is not None:
                self._write(self.path, {"agent": agent, "model": model, **vars(usage)})
            self._add(agent, model, usage)

    def _add(self, agent: str, model: str, usage: Usage) -> None:
        self._usage[agent, model] = self._usage.get((agent, model), Usage()) + usage
        self._total += usage

    def _write(self, path: Path, row: dict[str, object]) -> None:
        """Append a line, in place of a last one that a kill has torn."""
        line = (json.dumps(row, allow_nan=False) + "\n").encode("ascii")
        try:
            with path.open("ab") as file:
                if file.tell() > self._end:
                    file.truncate(self._end)
                file.write(line)
            self._end += len(line)
        except OSError as error:
            with suppress(OSError):
                os.truncate(path, self._end)  # without the part that a full disk had room for
            raise ResultsError(f"{path}: the costs could not be written: {error}") from error

    def _read(self, path: Path) -> None:
        """Add every whole line; a last one that a kill has torn is none."""
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        break
                    row = _read_row(line)
                    if row is None:
                        raise ResultsError(f"{path}: line {number} is damaged; delete it to go on without its costs")
                    self._add(*row)
                    self._end += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ResultsError(f"{path}: the costs could not be read: {error}") from error


def _read_row(line: bytes) -> tuple[str, str, Usage] | None:
    """Agent, model and usage of one line, None if it is not one."""
    try:
        row = json.loads(line)
        agent, model, usage = row.pop("agent"), row.pop("model"), Usage(**row)
        numbers = [usage.calls, usage.reused, usage.prompt_tokens, usage.completion_tokens]
        good = type(agent) is type(model) is str and all(type(number) is int for number in numbers)
        good = good and type(usage.seconds) is float and type(usage.dollars) in (float, type(None))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return (agent, model, usage) if good else None

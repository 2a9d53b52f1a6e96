"""What an agent is: a batch of observations in, a batch of decisions out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vrsim.errors import ActionError, DecisionError

if TYPE_CHECKING:
    from vrsim.episodes import Episodes
    from vrsim.models.ledger import Ledger
    from vrsim.models.model import Listener
    from vrsim.world import World

__all__ = ["Agent", "Decisions", "Observations", "Reading", "check_decisions", "join_readings", "n_options"]

Observations = Mapping[str, np.ndarray]
"""A batch of B observations: ``position`` int64 (B, 2), ``history`` int64 (B, H), ``slate`` int64 (B, K)."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a language model was given for each decision, and how its reply looked."""

    prompt: list[str]  # every word of the one that asked for the decision; steps before it are not kept
    well_formed: np.ndarray  # bool (B,): the reply passes the strict check of vrsim.text.replies
    cut: np.ndarray  # int64 (B,): oldest items of the history that did not fit into the prompt
    seconds: np.ndarray  # float (B,): of the model; a replayed answer has those of the recorded one


@dataclass(frozen=True, eq=False)
class Decisions:
    """What an agent decided, one row per observation."""

    action: np.ndarray  # int64 (B,): judgment 0 = No, 1 = Yes; selection: place in the slate, from 0
    valid: np.ndarray | None = None  # bool (B,): the reply could be read; None = all. Invalid counts as wrong
    text: list[str] | None = None  # the words that led to the action
    probability: np.ndarray | None = None  # float (B, K): of each place; judgment (B, 1): of Yes
    reading: Reading | None = None  # of agents that ask a language model

    def __post_init__(self) -> None:
        action = np.asarray(self.action)
        if action.ndim != 1 or action.dtype.kind not in "iu":
            raise DecisionError(f"Decisions.action must be integers of shape (B,), got {action.dtype} {action.shape}")
        valid = np.ones(len(action), bool) if self.valid is None else np.asarray(self.valid)
        if valid.shape != action.shape or valid.dtype != bool:
            raise DecisionError(
                f"Decisions.valid must be bool of shape {action.shape}, got {valid.dtype} {valid.shape}"
            )
        text = self.text
        if text is not None and (len(text) != len(action) or not all(isinstance(words, str) for words in text)):
            raise DecisionError(f"Decisions.text must be {len(action)} strings, one per action")
        if self.probability is not None:
            probability = np.asarray(self.probability, float)
            if probability.ndim != 2 or len(probability) != len(action):
                raise DecisionError(
                    f"Decisions.probability must be floats of shape ({len(action)}, K), got {probability.shape}"
                )
            if probability.size and not (probability.min() >= 0 and probability.max() <= 1):  # NaN is neither
                raise DecisionError("Decisions.probability must lie between 0 and 1 and not be NaN")
            object.__setattr__(self, "probability", probability)
        if self.reading is not None and {len(column) for column in vars(self.reading).values()} != {len(action)}:
            raise DecisionError(f"every column of Decisions.reading must have {len(action)} entries, one per action")
        object.__setattr__(self, "action", action.astype(np.int64))
        object.__setattr__(self, "valid", valid)

    def __len__(self) -> int:
        return len(self.action)


class Agent(ABC):
    """A simulated user. Only ``act`` has to be written.

    An agent is made, fitted once, and then asked batch after batch. It may read everything in the
    world that happened before a position, and nothing from that moment on.
    """

    variants: ClassVar[tuple[str, ...]] = ("",)
    """Options ("order=least", "" = none) of the variants worth a line each in a benchmark."""

    interactive: bool = False
    """It asks a person: it puts its questions on the terminal itself, one by one."""

    wants_gpu: bool = False
    """It loads a language model: on a cluster that has GPUs each of its cells gets one."""

    def fit(self, world: "World", training: "Episodes") -> None:
        """Learn from the training users, once. ``training`` holds their episodes, answers included,
        made by the protocol, task and m that will be asked about. The default learns nothing."""

    def reset(self, seed: int) -> None:
        """Start new episodes: take all randomness from ``seed``; what was learned stays.

        Equal seeds and equal observations give equal decisions. The default does nothing.
        """

    @abstractmethod
    def act(self, observations: Observations) -> Decisions:
        """Decide on B observations: ``position`` int64 (B, 2) (user, number of earlier interactions),
        ``history`` int64 (B, H) oldest first, 0 = empty, ``slate`` int64 (B, K).

        A slate of one item asks for a judgment (0 = No, 1 = Yes), a longer one for the place of the
        chosen item. Each row is a question of its own: the answer may not depend on the other rows.
        """

    def about(self) -> dict[str, Any]:
        """What can change its answers beside its name and options: prompts with their hashes. Plain data, kept in
        the manifest of a run and compared when the run goes on. The default is nothing."""
        return {}

    def account(self, name: str, ledger: "Ledger") -> None:
        """Book under ``name`` what answers cost from now on. The default costs nothing."""

    def speak_to(self, listener: "Listener | None") -> None:
        """Let ``listener`` hear the words that answer a single question while they are written, None = nobody. The
        default has no words."""

    def wish(self, observations: Observations) -> list[str] | None:
        """What would have kept B users who leave after the last slate, in words. The default has none."""
        return None

    def learn(self, observations: Observations, decisions: Decisions, rewards: np.ndarray) -> None:
        """Online agents only: what the last decisions earned, float64 (B,). The default learns nothing.

        Called for selections. Judgments come in pairs about one position, and the reward of one would
        tell the answer to the other.
        """


def join_readings(parts: list[Reading]) -> Reading:
    """The readings of several batches as one."""
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("well_formed", "cut", "seconds"))
    return Reading([prompt for part in parts for prompt in part.prompt], *columns)


def n_options(observations: Observations) -> int:
    """Number of possible actions: 2 for a judgment, K for a selection."""
    return max(2, observations["slate"].shape[1])


def check_decisions(agent: Agent, decisions: Decisions, size: int, options: int) -> None:
    """Raise ActionError unless these are ``size`` decisions with actions below ``options``."""
    name = type(agent).__name__
    if not isinstance(decisions, Decisions) or len(decisions) != size:
        found = len(decisions) if isinstance(decisions, Decisions) else type(decisions).__name__
        raise ActionError(f"{name}.act must return {size} Decisions, found {found}")
    action = decisions.action
    if size and not (action.min() >= 0 and action.max() < options):
        wrong = action[(action < 0) | (action >= options)]
        raise ActionError(f"{name}.act returned action {wrong[0]}, expected 0 to {options - 1}")

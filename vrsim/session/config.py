"""What a session is: how much is shown, what is rewarded, and how the mood of its user moves."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from vrsim.errors import OptionError, UnknownNameError

__all__ = ["REWARDS", "Mood", "SessionConfig", "make_session"]

REWARDS = ("consumption", "satisfaction", "retention")


@dataclass(frozen=True)
class Mood:
    """Patience, boredom and return of a user, in the simplest form that has all three.

    Patience is the time budget of RecSim (Ie et al., 2019): a turn without consumption costs 1, a consumed item gives
    ``relief`` back, at 0 the user leaves. Boredom is SARDINE's (Deffayet et al., 2024): topics that fill the last
    consumed items bore, made gradual, and joined by items that are shown again. Return follows KuaiSim (Zhao et al.,
    2023): the more the visit gave, the likelier the next. Who comes back is rested: patience is whole, boredom gone.
    """

    patience: float = 4.0  # turns without consumption, from 1 on, after which the user leaves
    relief: float = 1.0  # given back by a consumed item, never above ``patience``
    boredom: float = 0.15  # 0 to 1: share of the interest that each repetition takes, see ``interest``
    memory: int = 10  # consumed items that count as recent
    loyalty: float = 0.5  # 0 to 1: chance to come back after a visit in which every turn was consumption

    def __post_init__(self) -> None:
        for name, least, most in (
            ("patience", 1, np.inf), ("relief", 0, np.inf), ("boredom", 0, 1), ("loyalty", 0, 1), ("memory", 1, 1000)
        ):  # fmt: skip
            value, whole = getattr(self, name), name == "memory"
            kinds = int if whole else int | float
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                raise OptionError(
                    f"{name} must be {'an integer' if whole else 'a number'} from {least}"
                    f"{'' if most == np.inf else f' to {most}'}, found {value!r}"
                )

    def interest(self, repetitions: np.ndarray) -> np.ndarray:
        """What is left of the interest in an item, 0 to 1, after ``repetitions`` (float, from 0).

        A repetition is one earlier turn in which the item was shown, or one recently consumed item with all of its
        genres; a share of its genres counts as that share.
        """
        return (1.0 - self.boredom) ** repetitions

    def returns(self, consumed: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """The chance to come back after a visit of ``turns``, from 1 on, of which ``consumed`` were consumption."""
        return self.loyalty * consumed / turns


@dataclass(frozen=True)
class SessionConfig:
    """What the recommender may choose from, what it shows, and what it earns."""

    candidates: int = 20  # C: best ranked items that it can show, at least ``slate``
    slate: int = 5  # K: items shown in a turn
    reward: str = "consumption"  # see vrsim.envs.session
    no_repeat: bool = True  # consumed items leave the candidates
    rescore: bool = False  # the world's recommender ranks anew, from the shown history, whenever that has grown
    history: int = 20  # newest items of the history in the observation
    mood: Mood = field(default_factory=Mood)

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise UnknownNameError("reward", str(self.reward), REWARDS)
        for name in ("candidates", "slate", "history"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be an integer from 1, found {value!r}")
        for name in ("no_repeat", "rescore"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, found {getattr(self, name)!r}")
        if self.slate > self.candidates:
            raise OptionError(f"a slate of {self.slate} cannot be chosen from {self.candidates} candidates")


def make_session(options: dict[str, Any]) -> SessionConfig:
    """The configuration from options by name, those of Mood among them. Raises UnknownNameError, OptionError."""
    moods = {f.name for f in fields(Mood)}
    known = moods | {f.name for f in fields(SessionConfig)} - {"mood"}
    for name in options:
        if name not in known:
            raise UnknownNameError("option of a session", name, known)
    mood = Mood(**{name: value for name, value in options.items() if name in moods})
    return SessionConfig(mood=mood, **{name: value for name, value in options.items() if name not in moods})

"""``vrsim/Session-v0``: the agent is the recommender, and a simulated user answers slate after slate."""

from functools import lru_cache
from typing import Any, final

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from vrsim.envs.decision import RENDER_MODES
from vrsim.envs.rendering import draw
from vrsim.envs.session_rendering import write_session
from vrsim.errors import ActionError, EpisodeError, OptionError, UnknownNameError
from vrsim.session import FEATURES, SessionConfig, Sessions, Turn
from vrsim.session.config import make_session
from vrsim.session.features import genre_names
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

__all__ = ["SessionEnv", "check_places", "load_user", "pinned", "session_spaces", "turn_info"]


@final
class SessionEnv(gym.Env):
    """Recommend to one user, who picks, judges, gets tired, leaves, and may come back.

    ## Observation
    Dict: ``history`` int64 (H,), what the user has had and consumed, oldest first, 0 = empty; ``candidates`` int64
    (C,), what can be shown, the world's recommender's favourite first, 0 = none left; ``features`` float32
    (C, F), vrsim.session.FEATURES, from 0 to 1; ``response`` int64 (4,) to the last slate: item picked, 1 = consumed,
    1 = had left and came back (0 before the first slate), and the genre last wished for, from 1, 0 = none.

    ## Action
    MultiDiscrete([C] * K): places of the candidates to show; Discrete(C) for a slate of one. Places that repeat an
    earlier one, or hold no candidate, are filled by the best ranked candidates that are not in the slate, and counted
    in ``info["repaired"]``. With ``no_repeat`` consumed items are no candidates any more.

    ## Reward
    ``reward="consumption"``: 1 for a consumed item. "satisfaction": the chance of Yes about the picked item (1 or 0 for
    user agents that tell none), times what boredom leaves of it. "retention": 1 when a user who left comes back.

    ## Episodes
    A session begins at the first held-out position of a user of ``split``, drawn with replacement;
    ``reset(options={"episode": i})`` takes the i-th of them, from 0. It terminates when the user leaves for good, and
    is truncated after 20 turns (``gym.make(..., max_episode_steps=...)``) or when too few candidates are left.
    ``info``: ``user``; after a step ``slate`` int64 (K,), ``item``, ``consumed``, ``satisfaction``, ``valid``,
    ``left``, ``returned``, ``repaired`` (see vrsim.session.Turn), and ``instruction``: what would have kept the user
    who left last.

    ## Arguments
    ``world`` a name or folder; ``user`` the user agent, by name; ``protocol`` whose training users it learns from;
    ``split`` "test" or "train" users; ``seed`` of the user agent; others are fields of vrsim.session.SessionConfig and
    vrsim.session.Mood: ``candidates``, ``slate``, ``reward``, ``no_repeat``, ``rescore``, ``history``, ``patience``,
    ``relief``, ``boredom``, ``memory``, ``loyalty``.

    ## Errors
    ActionError for a step before reset or after the end, and for an action outside the action space; OptionError,
    UnknownNameError and EpisodeError for arguments. What a user agent raises in the middle of a session ends it;
    answers that cannot be read are turns without consumption.

    ## Version History
    v0: first version.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 1}

    def __init__(
        self,
        world: str | World = "ml-100k",
        user: str | SimulatedUser = "content",
        protocol: str = "uniform",
        split: str = "test",
        seed: int = 0,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise UnknownNameError("render_mode", render_mode, RENDER_MODES)
        self.render_mode = render_mode
        self.sessions = Sessions(load_user(world, user, protocol, seed), make_session(options), 1, split)
        self.observation_space, self.action_space = session_spaces(self.sessions)
        self._seeded = False
        self._over = True
        self._turn: Turn | None = None  # the last one of this session

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin a session."""
        if seed is not None or not self._seeded:
            super().reset(seed=seed)
            self.sessions.seed(0, self.np_random)
            self._seeded = True
        self.sessions.begin(np.array([0]), pinned(options, self.sessions))
        self._over, self._turn = False, None
        return self._observe(), {"user": int(self.sessions.position[0, 0])}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Show a slate."""
        if self._over:
            begun = "after the end" if self.sessions.turns[0] else "before reset()"
            raise ActionError(f"step() {begun}: there is no session; call reset() to begin one")
        places = check_places(action, self.sessions, 1)
        self._turn = turn = self.sessions.show(np.array([0]), places)
        terminated, truncated = bool(turn.gone[0]), bool(turn.exhausted[0] and not turn.gone[0])
        self._over = terminated or truncated
        told = {name: getattr(turn, name)[0] for name in INFO}
        told = {name: value.copy() if name == "slate" else value.item() for name, value in told.items()}
        info = {"user": int(self.sessions.position[0, 0]), **told, "instruction": self.sessions.instructions[0]}
        reward = float(turn.reward(self.sessions.config.reward)[0])
        return self._observe(), reward, terminated, truncated, info

    def render(self) -> str | np.ndarray | None:
        """The feed as the user sees it: text (ansi) or uint8 (height, width, 3) (rgb_array)."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode, for example gym.make(..., render_mode='ansi')")
            return None
        if not self._seeded:
            raise ActionError("render() before reset(): there is no session to show yet")
        text = write_session(self.sessions, self._turn)
        return text if self.render_mode == "ansi" else draw(text)

    def _observe(self) -> dict[str, np.ndarray]:
        return {name: column[0] for name, column in self.sessions.observe().items()}


def load_user(world: str | World, user: str | SimulatedUser, protocol: str, seed: int) -> SimulatedUser:
    """The user agent of an environment, fitted once for all environments that ask for the same."""
    if isinstance(user, SimulatedUser):
        return user
    if not isinstance(user, str):
        raise OptionError(f"user must be the name of an agent, for example 'content', found {user!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise OptionError(f"seed must be an integer from 0, found {seed!r}")
    return _fitted(world if isinstance(world, World) else World.load(world), user, protocol, int(seed))


@lru_cache(maxsize=4)
def _fitted(world: World, user: str, protocol: str, seed: int) -> SimulatedUser:
    return SimulatedUser(user, world, protocol, seed=seed)


def session_spaces(sessions: Sessions) -> tuple[spaces.Dict, spaces.Space]:
    """Observation and action space of one session."""
    config, world = sessions.config, sessions.world
    most = np.array([world.n_items, 1, 1, len(genre_names(world.catalog))])
    observation = {
        "history": spaces.Box(0, world.n_items, (config.history,), np.int64),
        "candidates": spaces.Box(0, world.n_items, (config.candidates,), np.int64),
        "features": spaces.Box(0, 1, (config.candidates, len(FEATURES)), np.float32),
        "response": spaces.Box(0, most, dtype=np.int64),
    }
    one = config.slate == 1
    action = spaces.Discrete(config.candidates) if one else spaces.MultiDiscrete([config.candidates] * config.slate)
    return spaces.Dict(observation), action


def check_places(action: Any, sessions: Sessions, size: int) -> np.ndarray:
    """The action as places int64 (N, K). Raises ActionError."""
    config: SessionConfig = sessions.config
    try:
        places = np.asarray(action)
    except ValueError:  # lists of different lengths
        places = np.empty(0)
    single = () if config.slate == 1 else (config.slate,)
    shapes = [(size, *single)] + ([single] if size == 1 else [])
    if places.shape not in shapes or places.dtype.kind not in "iu":
        raise ActionError(
            f"expected integers of shape {shapes[-1]}, the places of the candidates to show, found {action!r}"
        )
    if places.min() < 0 or places.max() >= config.candidates:
        raise ActionError(f"expected places from 0 to {config.candidates - 1}, found {places.min()} to {places.max()}")
    return places.reshape(size, config.slate).astype(np.int64)


def pinned(options: dict[str, Any] | None, sessions: Sessions, size: int = 1) -> np.ndarray | None:
    """The starts that ``options={"episode": ...}`` asks for, int64 (N,); None = drawn. Raises EpisodeError."""
    if not options:
        return None
    for name in options:
        if name != "episode":
            raise UnknownNameError("reset option", str(name), ["episode"])
    episode = np.atleast_1d(np.asarray(options["episode"]))
    if episode.shape != (size,) or episode.dtype.kind not in "iu":
        raise EpisodeError(f"expected {size} episode number{'s' * (size > 1)}, found {options['episode']!r}")
    last = len(sessions.positions) - 1
    if episode.min() < 0 or episode.max() > last:
        raise EpisodeError(f"episode {episode.max()} does not exist: there are episodes 0 to {last}")
    return episode.astype(np.int64)


def turn_info(sessions: Sessions, turn: Turn) -> dict[str, np.ndarray]:
    """What ``info`` says about a turn, one row per session."""
    told = {name: getattr(turn, name) for name in INFO}
    return {"user": sessions.position[:, 0].copy(), **told, "instruction": np.array(sessions.instructions, object)}


INFO = ("slate", "item", "consumed", "satisfaction", "valid", "left", "returned", "repaired")

"""Batched ``vrsim/Session-v0``: one array operation per turn for any number of users."""

from typing import Any, ClassVar, final

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from vrsim.envs.session import check_places, load_user, pinned, session_spaces, turn_info
from vrsim.errors import ActionError, EpisodeError, OptionError
from vrsim.session import Sessions
from vrsim.session.config import make_session
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

__all__ = ["SessionVectorEnv"]


@final
class SessionVectorEnv(VectorEnv):
    """N sessions per step. Sub-environment ``i`` goes as the scalar one does after ``reset(seed=seed + i)``.

    See SessionEnv for the arguments; ``max_episode_steps``: turns until truncation. Autoreset is SAME_STEP: where a
    session ended, the observation is that of the next one, and the last of the old stands in ``info["final_obs"]``,
    zeros elsewhere. All else in ``info`` is about the turn that was played; ``info["user"]`` whom it was played with.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        world: str | World = "ml-100k",
        user: str | SimulatedUser = "content",
        protocol: str = "uniform",
        split: str = "test",
        seed: int = 0,
        max_episode_steps: int = 20,
        **options: Any,
    ) -> None:
        for name, value in {"num_envs": num_envs, "max_episode_steps": max_episode_steps}.items():
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise OptionError(f"{name} must be an integer from 1, found {value!r}")
        self.num_envs, self._longest = int(num_envs), int(max_episode_steps)
        user = load_user(world, user, protocol, seed)
        self.sessions = Sessions(user, make_session(options), self.num_envs, split)
        self.single_observation_space, self.single_action_space = session_spaces(self.sessions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._begun = False
        self._rows, self._everywhere = np.arange(self.num_envs), np.ones(self.num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin a session in every sub-environment; ``options={"episode": array}`` pins them."""
        if seed is not None or not self._begun:
            one = seed is None or isinstance(seed, int | np.integer)
            super().reset(seed=None if seed is None or not one else int(seed))
            seeds = [None if seed is None else int(seed) + i for i in range(self.num_envs)] if one else seed
            if len(seeds) != self.num_envs:
                raise EpisodeError(f"expected {self.num_envs} seeds, found {len(seeds)}")
            for row, own in enumerate(seeds):
                if own is not None or not self._begun:
                    self.sessions.seed(row, seeding.np_random(own)[0])
        self.sessions.begin(self._rows, pinned(options, self.sessions, self.num_envs))
        self._begun = True
        return self.sessions.observe(), {"user": self.sessions.position[:, 0].copy(), "_user": self._everywhere.copy()}

    def step(self, actions: np.ndarray) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Show every user a slate."""
        if not self._begun:
            raise ActionError("step() before reset(): there are no sessions yet")
        turn = self.sessions.show(self._rows, check_places(actions, self.sessions, self.num_envs))
        info = turn_info(self.sessions, turn)
        info |= {f"_{name}": self._everywhere.copy() for name in info}
        terminated = turn.gone
        truncated = ~terminated & (turn.exhausted | (self.sessions.turns >= self._longest))
        over = terminated | truncated
        rows = np.flatnonzero(over)
        if len(rows):
            last = {name: np.zeros(space.shape, space.dtype) for name, space in self.observation_space.items()}
            for name, column in self.sessions.observe(rows).items():
                last[name][rows] = column
            info |= {"final_obs": last, "_final_obs": over.copy()}
            self.sessions.begin(rows)
        return self.sessions.observe(), turn.reward(self.sessions.config.reward), terminated, truncated, info

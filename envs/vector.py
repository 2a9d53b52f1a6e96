"""Both environments in batched form: one array operation per step for any number of environments."""

from typing import Any, ClassVar, final

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from vrsim.envs.decision import CHUNK, decision_spaces, load_episodes
from vrsim.episodes import Episodes
from vrsim.errors import ActionError, EpisodeError, OptionError, UnknownNameError
from vrsim.scoring import REWARDS
from vrsim.world import World

__all__ = ["JudgmentVectorEnv", "SelectionVectorEnv"]


class DecisionVectorEnv(VectorEnv):
    """N decisions per step. Sub-environment ``i`` asks what the scalar one asks after ``reset(seed=seed + i)``.

    Autoreset is SAME_STEP: ``step`` returns the next observations, and what was answered stands in
    ``info["final_info"]`` (``episode_id``, ``answer``, ``correct``) and ``info["final_obs"]``, each a
    dict of arrays over all sub-environments. Gymnasium's vector wrappers want NEXT_STEP autoreset; for
    those use ``gym.make_vec(..., vectorization_mode="sync")``.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, episodes: Episodes, num_envs: int) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise OptionError(f"num_envs must be an integer from 1, found {num_envs!r}")
        num_envs = int(num_envs)
        self.episodes, self.num_envs = episodes, num_envs
        self.single_observation_space, self.single_action_space = decision_spaces(episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._reward = REWARDS[episodes.task]
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._upcoming = np.empty((CHUNK, num_envs), np.int64)
        self._next = np.full(num_envs, CHUNK)  # row of _upcoming that each sub-environment asks next
        self._episode: np.ndarray | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Ask one episode per sub-environment; ``options={"episode": array}`` pins them."""
        if seed is not None:
            one = isinstance(seed, int | np.integer)
            super().reset(seed=int(seed) if one else None)
            seeds = [int(seed) + i for i in range(self.num_envs)] if one else seed
            if len(seeds) != self.num_envs:
                raise EpisodeError(f"expected {self.num_envs} seeds, found {len(seeds)}")
            for i, own in enumerate(seeds):
                if own is not None:
                    self._generators[i] = seeding.np_random(int(own))[0]
                    self._next[i] = CHUNK
        self._episode = self._pinned(options) if options else self._draw()
        return self.episodes.observe(self._episode), self._info()

    def step(self, actions: np.ndarray) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Answer every episode and ask the next ones."""
        if self._episode is None:
            raise ActionError("step() before reset(): there are no episodes to answer yet")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ActionError(
                f"expected {self.num_envs} integer actions, found {actions.dtype} of shape {actions.shape}"
            )
        if actions.min() < 0 or actions.max() >= self.episodes.n_options:
            raise ActionError(
                f"expected actions from 0 to {self.episodes.n_options - 1}, found {actions.min()} to {actions.max()}"
            )
        episode, everywhere = self._episode, np.ones(self.num_envs, bool)
        answer = self.episodes.answers[episode]
        correct = actions == answer
        final = {"episode_id": episode, "answer": answer, "correct": correct}
        final |= {f"_{name}": everywhere for name in final}
        self._episode = self._draw()
        info = self._info() | {
            "final_obs": self.episodes.observe(episode),
            "_final_obs": everywhere,
            "final_info": final,
            "_final_info": everywhere,
        }
        terminated, truncated = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        return self.episodes.observe(self._episode), self._reward(correct), terminated, truncated, info

    def _info(self) -> dict[str, np.ndarray]:
        return {"episode_id": self._episode.copy(), "_episode_id": np.ones(self.num_envs, bool)}

    def _draw(self) -> np.ndarray:
        """The next episode of every sub-environment, int64 (N,)."""
        for i in np.flatnonzero(self._next == CHUNK):
            self._upcoming[:, i] = self._generators[i].integers(len(self.episodes), size=CHUNK)
            self._next[i] = 0
        episode = self._upcoming[self._next, np.arange(self.num_envs)]
        self._next += 1
        return episode

    def _pinned(self, options: dict[str, Any]) -> np.ndarray:
        for name in options:
            if name != "episode":
                raise UnknownNameError("reset option", str(name), ["episode"])
        episode = np.asarray(options["episode"])
        if episode.shape != (self.num_envs,) or episode.dtype.kind not in "iu":
            raise EpisodeError(f"expected {self.num_envs} episode numbers, found {options['episode']!r}")
        if episode.min() < 0 or episode.max() >= len(self.episodes):
            raise EpisodeError(
                f"episodes {episode.min()} to {episode.max()} do not all exist: "
                f"there are episodes 0 to {len(self.episodes) - 1}"
            )
        return episode.astype(np.int64)


@final
class JudgmentVectorEnv(DecisionVectorEnv):
    """Batched ``vrsim/Judgment-v0``; see JudgmentEnv for the arguments."""

    def __init__(
        self,
        num_envs: int = 1,
        world: str | World = "ml-100k",
        protocol: str = "vragent-paper",
        split: str = "test",
        cohort: str = "all",
        seed: int = 0,
    ) -> None:
        super().__init__(load_episodes("judgment", world, protocol, 1, split, cohort, seed), num_envs)


@final
class SelectionVectorEnv(DecisionVectorEnv):
    """Batched ``vrsim/Selection-v0``; see SelectionEnv for the arguments."""

    def __init__(
        self,
        num_envs: int = 1,
        world: str | World = "ml-100k",
        protocol: str = "vragent-paper",
        m: int = 3,
        split: str = "test",
        cohort: str = "all",
        seed: int = 0,
    ) -> None:
        super().__init__(load_episodes("selection", world, protocol, m, split, cohort, seed), num_envs)

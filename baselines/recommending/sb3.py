"""``sb3``: a policy trained by trial and reward, by an algorithm of Stable-Baselines3."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from vrsim.baselines.recommending.inputs import PRACTICE, Inputs
from vrsim.baselines.recommending.ranked import Ranked, as_vec_env
from vrsim.baselines.reinforcement import algorithm_class, check_training, contained, train
from vrsim.seeding import derive
from vrsim.session.policy import Policy, SessionSetting

__all__ = ["ReinforcedSlate"]

WHO = "policy 'sb3'"
SIDE_BY_SIDE = 256  # sessions in training
USUAL: dict[str, dict[str, Any]] = {  # options that differ from the library's
    "A2C": {"n_steps": 10, "gamma": 0.95, "learning_rate": 1e-3},
    "DQN": {
        "batch_size": 512, "buffer_size": 200_000, "exploration_fraction": 0.2, "gamma": 0.9, "gradient_steps": 8,
        "learning_rate": 5e-4, "learning_starts": 5000, "target_update_interval": 5000, "train_freq": 1,
    },
    "PPO": {"batch_size": 640, "gae_lambda": 0.9, "gamma": 0.95, "learning_rate": 1e-3, "n_epochs": 5, "n_steps": 10},
}  # fmt: skip


@final
class ReinforcedSlate(Policy):
    """A2C and PPO choose weights of the candidates' inputs, DQN one of twelve rules; see .ranked.

    It practises ``steps`` turns with training users, after those that tell how items fare. The further options are the
    algorithm's own: ``sb3:algorithm=DQN,learning_rate=0.001``. Training runs on the CPU, on one thread, and leaves the
    global generators as they were.
    """

    variants = ()  # needs a library that not everyone has, and minutes: played where it is named

    def __init__(self, algorithm: str = "PPO", steps: int = 600_000, **options: Any) -> None:
        check_training(WHO, algorithm, steps, options)
        self._algorithm, self._steps = algorithm, steps
        self._options = USUAL[algorithm] | options

    def fit(self, setting: SessionSetting) -> None:
        """Raises DependencyError, and OptionError for values that the algorithm refuses."""
        super().fit(setting)
        make = algorithm_class(WHO, self._algorithm)
        inputs = Inputs(setting, min(PRACTICE, self._steps))
        self._ranked = Ranked(setting, inputs, discrete=self._algorithm == "DQN")
        env = as_vec_env(setting, self._ranked, SIDE_BY_SIDE)
        seed = derive(setting.seed, "sb3", self._algorithm) % 2**31
        self._model = train(make, "MlpPolicy", env, seed, self._steps, self._options)

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        moment, inputs = self._ranked.see(observations)
        with contained():
            actions = self._model.predict(moment, deterministic=True)[0]
        return self._ranked.places(actions, inputs, observations["candidates"])

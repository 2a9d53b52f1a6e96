"""Sessions as a Minari data set: what an offline learner needs, with the environment to evaluate it in."""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import vrsim
from vrsim.errors import DependencyError, OptionError, ResultsError
from vrsim.progress import Progress, silent
from vrsim.registry import make_policy
from vrsim.seeding import derive
from vrsim.session.config import make_session
from vrsim.session.policy import SessionSetting

__all__ = ["export_minari"]


def export_minari(
    dataset: str,
    policy: str = "greedy",
    world: str = "ml-100k",
    user: str = "content",
    protocol: str = "uniform",
    options: Mapping[str, Any] | None = None,
    turns: int = 20,
    sessions: int = 0,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Path:
    """Play sessions with test users and write them as Minari data set ``dataset`` ("NAMESPACE/NAME-v0").

    ``sessions``: that many, 0 = one with every test user. ``folder``: where data sets are kept, None = where Minari
    keeps them. Observations, actions and rewards are those of ``vrsim/Session-v0``, which ``recover_environment``
    makes again; ``infos`` have the columns ``item``, ``consumed``, ``satisfaction``, ``left`` and ``returned``, each of
    shape (turns + 1, 1), 0 before the first turn. Returns the folder of the data set. Raises DependencyError,
    OptionError, and ResultsError if it exists already.
    """
    try:
        import minari
    except ImportError as error:
        raise DependencyError(
            f"a Minari data set needs Minari ({error}); install it with pip install 'vrsim[minari]'"
        ) from None
    _check_name(dataset)
    for name, value, least in (("turns", turns, 1), ("sessions", sessions, 0)):
        if type(value) is not int or value < least:
            raise OptionError(f"{name} must be an integer from {least}, found {value!r}")
    env = gym.make(
        "vrsim/Session-v0",
        disable_env_checker=True,
        max_episode_steps=turns,
        **{"world": world, "user": user, "protocol": protocol, "seed": seed, **(options or {})},
    )
    inner = env.unwrapped.sessions
    total = len(inner.positions)
    if sessions > total:
        raise OptionError(f"world {world!r} has {total} test users for a session each, fewer than {sessions}")
    played = make_policy(policy)
    played.fit(SessionSetting(inner.user, make_session(dict(options or {})), turns, seed))
    with _kept_in(folder) as root:
        if (root / dataset).exists():
            raise ResultsError(f"{root / dataset} exists already; choose another name, or delete it")
        buffers = []
        for number in range(sessions or total):
            buffers.append(_play(env, played, number, derive(seed, "minari", number) % 2**31))
            progress(number + 1, sessions or total, "sessions")
        with _whole_or_gone(root / dataset), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* is set to None", UserWarning)  # who publishes it says who made it
            minari.create_dataset_from_buffers(
                dataset,
                buffers,
                env=env,
                eval_env=env,
                algorithm_name=policy,
                description=f"Sessions of {policy} with {user} users of {world}, by vrsim {vrsim.__version__}.",
                data_format="arrow",
            )
        return root / dataset


def _check_name(dataset: str) -> None:
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        version = parse_dataset_id(dataset)[2]
    except (ValueError, TypeError):
        version = None
    if version is None:
        raise OptionError(f"expected the name of a Minari data set, as vrsim/ml-100k/greedy-v0, found {dataset!r}")


@contextmanager
def _whole_or_gone(target: Path) -> Iterator[None]:
    """What a block writes there is deleted if it does not end well."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise ResultsError(f"{target} could not be written: {error}; nothing of it was kept") from error
        raise


class _kept_in:
    """Minari finds its folder in the environment."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._before = folder, os.environ.get(VARIABLE)

    def __enter__(self) -> Path:
        from minari.storage import get_dataset_path

        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ResultsError(f"{self._folder} cannot be made: {error}; choose another folder") from error
            os.environ[VARIABLE] = str(self._folder.resolve())  # Minari joins a relative one to itself
        return Path(get_dataset_path(""))

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            os.environ.pop(VARIABLE)
            if self._before is not None:
                os.environ[VARIABLE] = self._before


VARIABLE = "MINARI_DATASETS_PATH"
TOLD = ("item", "consumed", "satisfaction", "left", "returned")


def _play(env: gym.Env, policy: Any, number: int, seed: int) -> Any:
    """One session, as an EpisodeBuffer."""
    from minari.data_collector import EpisodeBuffer

    policy.reset(seed)
    observation, _ = env.reset(seed=seed, options={"episode": number})
    seen, actions, rewards, infos, words = [observation], [], [], [], ""
    ends: list[tuple[bool, bool]] = []
    while not ends or not any(ends[-1]):
        batch = {name: column[None] for name, column in observation.items()}
        places = policy.act(batch, [words])
        action = places[0] if env.unwrapped.sessions.config.slate > 1 else places[0, 0]
        observation, reward, *end, info = env.step(action)
        for column, value in zip((seen, actions, rewards, infos), (observation, action, reward, info), strict=True):
            column.append(value)
        ends.append(tuple(end))
        words = info["instruction"]
    terminations, truncations = zip(*ends, strict=True)
    return EpisodeBuffer(
        id=number,
        seed=seed,
        options={"episode": number},
        observations={name: np.stack([one[name] for one in seen]) for name in seen[0]},
        actions=np.stack(actions),
        rewards=rewards,
        terminations=list(terminations),
        truncations=list(truncations),
        infos={name: np.array([[0], *([info[name]] for info in infos)]) for name in TOLD},
    )

"""Training questions: what a protocol asks the training users, in the words that an evaluation would use."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np

from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import EpisodeError
from vrsim.models.model import Model, Prompt
from vrsim.protocols import get_protocol
from vrsim.seeding import derive, generator
from vrsim.text.replies import labels_of
from vrsim.text.writer import Writer, shown_order
from vrsim.training.asked import prompts_of
from vrsim.training.config import TrainConfig
from vrsim.training.earlier import earlier_world
from vrsim.world import World

__all__ = ["Example", "Questions"]

BATCH = 512  # questions that are written at once
EARLIER = 4  # questions about earlier positions to each one about a held-out position


@dataclass(frozen=True)
class Example:
    """One question with its answer."""

    task: str
    position: tuple[int, int]  # user, number of earlier interactions
    history: tuple[int, ...]  # the items in the prompt, oldest first
    slate: tuple[int, ...]  # the candidates in the order in which they are shown
    prompt: Prompt
    labels: tuple[str, ...]
    right: int  # place of the right label


class Questions:
    """The questions of one training run.

    The training users of the protocol are split once more: ``validation`` of them are never trained on. A draw takes
    every position of its users once, with wrong items and an order of the candidates of its own.
    """

    def __init__(self, world: World, config: TrainConfig, model: Model) -> None:
        """``model`` answers what an agent asks before its question. Raises EpisodeError where the protocol has no
        training users, or too few.
        """
        self.world, self.config, self.model = world, config, model
        self.agent = getattr(config, "agent", "us-agent")
        known = get_protocol(config.protocol).tasks
        self.tasks = tuple(task for task in config.tasks if task in known)
        if not self.tasks:
            raise EpisodeError(
                f"{config.protocol!r} asks no {' and no '.join(config.tasks)}: there is nothing to train"
            )
        positions = {task: self._episodes(task, self._sizes(task)[0], 0).positions for task in self.tasks}
        users = np.unique(np.concatenate([found[:, 0] for found in positions.values()]))
        order = generator(0, "validation", config.protocol).permutation(users)  # the same for every seed
        kept = round(config.validation * len(users))
        self.validation_users = np.sort(order[:kept])
        self.users = np.sort(order[kept:][: config.users or None])
        if not len(self.users) or (config.validation and not kept):
            raise EpisodeError(
                f"{config.protocol!r} has {len(users)} training users in world {world.name!r}, which are too few to "
                f"train on and to leave {config.validation:g} of them for validation"
            )
        self._earlier: tuple[World, np.ndarray] | None = None  # earlier selves of the training users, and who they are
        known_users = [np.unique(found[np.isin(found[:, 0], self.users)], axis=0) for found in positions.values()]
        self.positions = max(map(len, known_users))  # of the training users

    def stream(self, task: str, writer: Writer) -> Iterator[Example]:
        """Questions of one task without end; each size of a selection has the same share."""
        for draw in count():
            seed = derive(self.config.seed, "training", task, draw) % 2**32
            parts = [self._asked(self._episodes(task, m, seed), self.users, seed) for m in self._sizes(task)]
            if self.config.earlier:
                most = [EARLIER * len(index) for _, index in parts]
                parts += [self._before(task, m, seed, n) for m, n in zip(self._sizes(task), most, strict=True)]
            written = [self._write(episodes, index, writer, seed) for episodes, index in parts]
            sizes = [len(index) for _, index in parts]
            for part in generator(seed, "order").permutation(np.repeat(np.arange(len(parts)), sizes)).tolist():
                yield next(written[part])

    def validation(self, task: str, writer: Writer, most: int) -> list[Example]:
        """At most ``most`` questions of the validation users, the same ones for every seed."""
        sizes = self._sizes(task)
        found: list[Example] = []
        for m in sizes:
            episodes, index = self._asked(self._episodes(task, m, 0), self.validation_users, 0)
            found += islice(self._write(episodes, index[: -(-most // len(sizes))], writer, 0), most - len(found))
        return found

    def _before(self, task: str, m: int, seed: int, most: int) -> tuple[Episodes, np.ndarray]:
        """Questions about earlier positions of the training users, at most ``most`` of them."""
        if self._earlier is None:
            self._earlier = earlier_world(self.world, self.users, self.config.earlier, self.config.seed)
        everyone = replace(get_protocol(self.config.protocol), test_share=0.0, test_users=0)
        selves, owners = self._earlier
        episodes = make_episodes(selves, everyone, task, m, "train", "all", seed)
        episodes, index = self._asked(episodes, np.arange(len(owners)), seed)
        return episodes, index[:most]

    def _sizes(self, task: str) -> tuple[int, ...]:
        return self.config.m if task == "selection" else (1,)

    def _episodes(self, task: str, m: int, seed: int) -> Episodes:
        return make_episodes(self.world, self.config.protocol, task, m, "train", "all", seed)

    @staticmethod
    def _asked(episodes: Episodes, users: np.ndarray, seed: int) -> tuple[Episodes, np.ndarray]:
        """The questions about some users in a random order, int64 (B,)."""
        index = np.flatnonzero(np.isin(episodes.positions[:, 0], users))
        return episodes, generator(seed, "questions").permutation(index)

    def _write(self, episodes: Episodes, index: np.ndarray, writer: Writer, seed: int) -> Iterator[Example]:
        labels, writer = labels_of(episodes.task, episodes.n_options), writer.about(episodes.world)
        for begin in range(0, len(index), BATCH):
            part = index[begin : begin + BATCH]
            observations = writer.seen(episodes.observe(part))
            written = writer.write(observations, shown_order(observations, seed))
            prompts: Iterator[Prompt] = iter(written.prompts)
            if self.agent != "us-agent":
                prompts = prompts_of(self.agent, episodes, part, self.model, seed)
            for row, (episode, prompt) in enumerate(zip(part.tolist(), prompts, strict=True)):
                user, t = observations["position"][row].tolist()
                yield Example(
                    episodes.task,
                    (user if episodes.world is self.world else int(self._earlier[1][user]), t),
                    tuple(item for item in observations["history"][row].tolist() if item)[int(written.cut[row]) :],
                    tuple(observations["slate"][row][written.order[row]].tolist()),
                    Prompt(prompt.messages, prompt.text),
                    labels,
                    written.shown(int(episodes.answers[episode]), row),
                )

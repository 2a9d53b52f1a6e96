"""Training questions: what a protocol asks the training users, in the words that an evaluation would use."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import EpisodeError
from vrsim.models.model import Prompt
from vrsim.seeding import derive, generator
from vrsim.text.replies import labels_of
from vrsim.text.writer import Writer, shown_order
from vrsim.training.config import TrainConfig
from vrsim.world import World

__all__ = ["Example", "Questions"]

BATCH = 512  # questions that are written at once


@dataclass(frozen=True)
class Example:
    """One question with its answer."""

    task: str
    position: tuple[int, int]  # user, number of earlier interactions
    history: tuple[int, ...]  # the items shown, oldest first
    slate: tuple[int, ...]  # the candidates in the order in which they are shown
    prompt: Prompt
    labels: tuple[str, ...]
    right: int  # place of the right label
    cut: int  # oldest items of the history that did not fit


class Questions:
    """The questions of one training run.

    The training users of the protocol are split once more: ``validation`` of them are never trained on. A draw takes
    every position of its users once, with wrong items and an order of the candidates of its own.
    """

    def __init__(self, world: World, config: TrainConfig) -> None:
        """Raises EpisodeError where the protocol has no training users, or too few."""
        self.world, self.config = world, config
        asked = [task for task in config.tasks if self._protocol_asks(task)]
        if not asked:
            raise EpisodeError(
                f"{config.protocol!r} asks no {' and no '.join(config.tasks)}: there is nothing to train"
            )
        self.tasks = tuple(asked)
        users = np.unique(np.concatenate([self._episodes(task, 0, 0).positions[:, 0] for task in asked]))
        order = generator(0, "validation", config.protocol).permutation(users)  # the same for every seed
        kept = round(config.validation * len(users))
        self.validation_users = np.sort(order[:kept])
        self.users = np.sort(order[kept:][: config.users or None])
        if len(self.users) < 1 or (config.validation and not kept):
            raise EpisodeError(
                f"{config.protocol!r} has {len(users)} training users in world {world.name!r}, which are too few to "
                f"train on and to leave {config.validation:g} of them for validation"
            )

    @property
    def positions(self) -> int:
        """How many positions of the training users there are to learn from."""
        return max(int(np.isin(self._episodes(task, 0, 0).positions[:, 0], self.users).sum()) for task in self.tasks)

    def stream(self, task: str, writer: Writer) -> Iterator[Example]:
        """Questions of one task without end."""
        for draw in count():
            seed = derive(self.config.seed, "training", task, draw) % 2**32
            sizes = self.config.m if task == "selection" else (1,)
            parts = [
                self._examples(self._episodes(task, place, seed), self.users, writer, seed)
                for place in range(len(sizes))
            ]
            order = generator(seed, "order").permutation(np.repeat(np.arange(len(parts)), [n for n, _ in parts]))
            rows = [examples for _, examples in parts]
            for part in order.tolist():
                yield next(rows[part])

    def validation(self, task: str, writer: Writer, most: int) -> list[Example]:
        """At most ``most`` questions of the validation users, the same ones for every seed."""
        found: list[Example] = []
        sizes = self.config.m if task == "selection" else (1,)
        for place in range(len(sizes)):
            _, examples = self._examples(self._episodes(task, place, 0), self.validation_users, writer, 0)
            found += [example for _, example in zip(range(-(-most // len(sizes))), examples, strict=False)]
        return found[:most]

    def _protocol_asks(self, task: str) -> bool:
        from vrsim.protocols import get_protocol

        return task in get_protocol(self.config.protocol).tasks

    def _episodes(self, task: str, place: int, seed: int) -> Episodes:
        m = self.config.m[place] if task == "selection" else 1
        return make_episodes(self.world, self.config.protocol, task, m, "train", "all", seed)

    def _examples(
        self, episodes: Episodes, users: np.ndarray, writer: Writer, seed: int
    ) -> tuple[int, Iterator[Example]]:
        index = np.flatnonzero(np.isin(episodes.positions[:, 0], users))
        index = generator(seed, "questions").permutation(index)
        return len(index), self._write(episodes, index, writer, seed)

    @staticmethod
    def _write(episodes: Episodes, index: np.ndarray, writer: Writer, seed: int) -> Iterator[Example]:
        labels = labels_of(episodes.task, episodes.n_options)
        for begin in range(0, len(index), BATCH):
            part = index[begin : begin + BATCH]
            observations = episodes.observe(part)
            written = writer.write(observations, shown_order(observations, seed))
            for row, (episode, prompt) in enumerate(zip(part.tolist(), written.prompts, strict=True)):
                yield Example(
                    episodes.task,
                    tuple(observations["position"][row].tolist()),
                    tuple(item for item in observations["history"][row].tolist() if item),
                    tuple(observations["slate"][row][written.order[row]].tolist()),
                    Prompt(prompt.messages, prompt.text),
                    labels,
                    written.shown(int(episodes.answers[episode]), row),
                    int(written.cut[row]),
                )

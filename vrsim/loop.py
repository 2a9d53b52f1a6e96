"""The loop: episodes to an agent, its decisions to the score and to the records."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.agent import Agent, Decisions, check_decisions, join_readings
from vrsim.episodes import Episodes
from vrsim.errors import OptionError
from vrsim.progress import Progress, silent
from vrsim.seeding import derive

__all__ = ["BATCH", "Played", "join", "play", "play_batches"]

BATCH = 256  # episodes per call of the agent

Writer = Callable[["Played"], None]


@dataclass(frozen=True, eq=False)
class Played:
    """What an agent did in some episodes, one row per decision."""

    episodes: Episodes
    index: np.ndarray  # int64 (N,): which episodes
    decisions: Decisions
    correct: np.ndarray  # bool (N,): right and readable
    reward: np.ndarray  # float64 (N,)
    seconds: np.ndarray  # float64 (N,): the agent's time, shared equally within a batch; of a reader the model's


def play(
    agent: Agent,
    episodes: Episodes,
    seed: int = 0,
    *,
    fit: bool = True,
    batch: int = BATCH,
    before: list[Played] | None = None,
    write: Writer = lambda played: None,
    progress: Progress = silent,
) -> Played:
    """Let ``agent`` answer every episode in order.

    ``fit`` lets it learn from the training users first. Before each batch the agent is reset with a
    seed derived from ``seed`` and the batch's place, so a run that stopped can go on: ``before``
    holds the batches already played, which are not asked again but shown to ``agent.learn``.
    ``write`` is called after each new batch. Raises ActionError if a decision is not one.
    """
    played = list(before or [])
    for part in play_batches(agent, episodes, seed, fit=fit, batch=batch, before=tuple(played)):
        played.append(part)
        write(part)
        progress(int(part.index[-1]) + 1, len(episodes), "")
    return join(played)


def play_batches(
    agent: Agent,
    episodes: Episodes,
    seed: int = 0,
    *,
    fit: bool = True,
    batch: int = BATCH,
    before: Sequence[Played] = (),
) -> Iterator[Played]:
    """``play``, one new batch after the other, each as soon as the agent has learned from it."""
    if type(batch) is not int or batch < 1:
        raise OptionError(f"batch must be an integer from 1, found {batch!r}")
    if fit:
        agent.fit(episodes.world, episodes.training())
    learns = episodes.task == "selection"
    for old in before:
        if learns:
            agent.learn(episodes.observe(old.index), old.decisions, old.reward)
    for start in range(sum(len(old.index) for old in before), len(episodes), batch):
        index = np.arange(start, min(start + batch, len(episodes)))
        agent.reset(derive(seed, "play", start))
        observations = episodes.observe(index)
        started = time.perf_counter()
        decisions = agent.act(observations)
        spent = time.perf_counter() - started
        check_decisions(agent, decisions, len(index), episodes.n_options)
        correct = episodes.correct(index, decisions.action) & decisions.valid
        reward = episodes.reward(correct)
        if learns:
            agent.learn(episodes.observe(index), decisions, reward)
        seconds = np.full(len(index), spent / len(index)) if decisions.reading is None else decisions.reading.seconds
        yield Played(episodes, index, decisions, correct, reward, seconds)


def join(parts: list[Played]) -> Played:
    """Batches of one agent and one set of episodes as one."""
    decisions = [part.decisions for part in parts]
    texts = None if any(d.text is None for d in decisions) else [t for d in decisions for t in d.text]
    chances = [d.probability for d in decisions]
    readings = [d.reading for d in decisions]
    return Played(
        parts[0].episodes,
        np.concatenate([part.index for part in parts]),
        Decisions(
            np.concatenate([d.action for d in decisions]),
            np.concatenate([d.valid for d in decisions]),
            texts,
            None if any(p is None for p in chances) else np.concatenate(chances),
            None if any(r is None for r in readings) else join_readings(readings),
        ),
        np.concatenate([part.correct for part in parts]),
        np.concatenate([part.reward for part in parts]),
        np.concatenate([part.seconds for part in parts]),
    )

"""The sets of questions that a protocol asks of a world: by task, by size, and with every seed."""

from collections.abc import Iterator, Sequence

from vrsim.episodes import Episodes, make_episodes
from vrsim.protocols import get_protocol
from vrsim.records import Question
from vrsim.world import World

__all__ = ["ask", "questions_of"]


def questions_of(protocol: str, tasks: Sequence[str], m: tuple[int, ...], cohort: str) -> Iterator[Question]:
    """What a protocol asks of the wanted tasks; ``m`` are the sizes of selections. Raises UnknownNameError."""
    found = get_protocol(protocol)
    for task in (task for task in found.tasks if task in tasks):
        for size in found.sizes(task, m):
            yield Question(protocol, task, size, cohort)


def ask(world: World, question: Question, users: int, seeds: int) -> list[Episodes]:
    """The episodes of seeds 0 to ``seeds`` - 1, of at most ``users`` test users, 0 = all. Raises EpisodeError."""
    # A judgment takes its m from the protocol, where it can be 0; make_episodes is asked from 1 on.
    m = question.m if question.task == "selection" else max(1, question.m)
    asked = (world, question.protocol, question.task, m, "test", question.cohort)
    return [make_episodes(*asked, seed, users) for seed in range(seeds)]

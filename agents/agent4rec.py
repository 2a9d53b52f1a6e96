"""``agent4rec``: a persona from the data, a taste, a memory, and a page of items to watch and to rate."""

from typing import Any, final

import numpy as np

from vrsim.agent import Decisions, Observations
from vrsim.agents.composer import ROLE, UNKNOWN, Composer, Filling, said, step
from vrsim.agents.decisions import read_as, with_seconds
from vrsim.agents.language import LanguageAgent
from vrsim.agents.pages import read_page
from vrsim.agents.past import longer, ratings_of
from vrsim.agents.persona import Persona
from vrsim.episodes import LIKED, Episodes
from vrsim.errors import OptionError
from vrsim.models.model import Model
from vrsim.seeding import generator
from vrsim.text.replies import labels_of
from vrsim.text.templates import QUOTED
from vrsim.world import World

__all__ = ["PAGE", "TASTE", "Agent4Rec"]

EARLIER = 25  # newest items that the taste is summarised from
RECENT = 5  # newest items that the memory holds
MOST = 20  # items of a page

TASTE = step(
    "agent4rec-taste",
    1,
    "A user took these, oldest first:\n{history}\n\n"
    "Describe the taste of this user in at most five sentences: what they look for, what they avoid, and how "
    "generously they rate. Speak of kinds and qualities, not of single titles. Write nothing else.",
    QUOTED,
)
PAGE = step(
    "agent4rec",
    1,
    "Your habits:\n{persona}\n\n"
    "Your taste, as somebody described it:\n{taste}\n\n"
    "What you remember of late, oldest first:\n{memory}\n\n"
    "You open a page of recommendations:\n{candidates}\n\n"
    "Decide for every item whether you would watch it, and how you would rate it from 1 to 5. Write one line per item, "
    "in the order of the page, and nothing else:\n"
    "LABEL: WATCH yes or no; RATING 1 to 5; REASON a few words",
    ROLE,
)


@final
class Agent4Rec(LanguageAgent):
    """Look at a page of items as a persona with a taste and a memory (Agent4Rec; Zhang et al., SIGIR 2024).

    The persona has three traits in three tiers each, from the numbers in vrsim.agents.persona. The taste is what the
    model writes about the newest 25 items before the position; not known, if that reply is empty. The memory is the
    newest five and whether they pleased. Then one prompt asks about all items of the page. A selection is a page of
    its candidates and takes the watched item with the highest rating, or the one with the highest of all where none
    is watched, the first shown of equals. A judgment is a page of ``page`` items (0 = as many as go with one right
    item, at most 20): the asked one at a random place among items drawn at random from those that the user had not
    taken before; Yes if it is watched. A selection with an item that cannot be read is invalid, and so is a judgment
    where the asked one cannot.

    Departures: the paper draws the 25 items at random, and its memory grows over the pages that an agent has seen,
    with reflections; here it is made of the data. Emotions are read off the ratings. There is no fatigue, no exit and
    no interview. One right item per page: the other right ones of the paper's pages are questions of their own.
    """

    templates = (TASTE, PAGE)

    def __init__(self, model: str | Model, page: int = 0, **options: Any) -> None:
        super().__init__(model, **options)
        if type(page) is not int or not 0 <= page <= MOST:
            raise OptionError(f"page must be an integer from 0 to {MOST}, found {page!r}")
        self._page = page

    def prepare(self, world: World, training: Episodes) -> None:
        self._size = self._page or min(MOST, training.m + 1)
        self._persona = Persona(world)
        self._writer = self.writer(PAGE, self._sampling.max_tokens)
        self._summarise = Composer(TASTE, self._model, self._sampling.max_tokens)
        self._composer = Composer(PAGE, self._model, self._sampling.max_tokens)

    def act(self, observations: Observations) -> Decisions:
        judgment = observations["slate"].shape[1] == 1
        order = self.order(observations)
        shown = np.take_along_axis(observations["slate"], order, axis=1).tolist()
        positions = observations["position"]
        pages = shown
        if judgment:
            pages = [self._page_about(*row, *items) for row, items in zip(positions.tolist(), shown, strict=True)]
        tastes, seconds = self._tastes(observations)
        personas, memories = self._persona.words(positions), self._memories(observations)
        fillings = [
            Filling(
                {"persona": persona, "candidates": self._listed(page)},
                [("memory", line) for line in memory],
                {"taste": taste},
            )
            for persona, taste, memory, page in zip(personas, tastes, memories, pages, strict=True)
        ]
        prompts, cut = self._composer.write("judgment", fillings)
        completions = self.ask(prompts, self.seeded(self._sampling))
        read = [
            read_page(completion.text, labels_of("selection", len(page)))
            for completion, page in zip(completions, pages, strict=True)
        ]
        if judgment:
            asked = [page.index(items[0]) for page, items in zip(pages, shown, strict=True)]
            opinions = [page.opinions[place] for page, place in zip(read, asked, strict=True)]
            choices = [None if opinion is None else int(opinion.watch) for opinion in opinions]
        else:
            best = [page.best() for page in read]
            choices = [None if place is None else int(order[row, place]) for row, place in enumerate(best)]
        action = np.array([choice or 0 for choice in choices])
        valid = np.array([choice is not None for choice in choices])
        reading = read_as(prompts, completions, np.array([page.well_formed for page in read]), cut)
        texts = [completion.text for completion in completions]
        return with_seconds(Decisions(action, valid, texts, reading=reading), seconds)

    def _page_about(self, user: int, t: int, item: int) -> list[int]:
        """The item among others that the user had not taken before."""
        rng = generator(self._seed, "page", user, t, item)
        taken = {item, *self._world.history(user, t).tolist()}
        size = min(self._world.n_items, self._size - 1 + len(taken))
        drawn = rng.choice(self._world.n_items, size, replace=False) + 1
        page = [other for other in drawn.tolist() if other not in taken][: self._size - 1]
        page.insert(int(rng.integers(len(page) + 1)), item)
        return page

    def _listed(self, page: list[int]) -> str:
        labels = labels_of("selection", len(page))
        return "\n".join(f"{label}. {self._writer.item(item)}" for label, item in zip(labels, page, strict=True))

    def _tastes(self, observations: Observations) -> tuple[list[str], np.ndarray]:
        """The taste of each user, and the model's time for it, float (B,); nothing is asked about no items."""
        histories = self._writer.history(longer(self._world, observations, EARLIER))
        rows = [row for row, lines in enumerate(histories) if lines]
        fillings = [Filling({}, [("history", line) for line in histories[row]]) for row in rows]
        tastes, seconds = [UNKNOWN] * len(histories), np.zeros(len(histories))
        if rows:
            prompts, _ = self._summarise.write("judgment", fillings)
            for row, completion in zip(rows, self.ask(prompts, self.seeded(self._sampling)), strict=True):
                tastes[row], seconds[row] = said(completion), completion.seconds
        return tastes, seconds

    def _memories(self, observations: Observations) -> list[list[str]]:
        """The newest items, and whether they pleased, one line each."""
        recent = longer(self._world, observations, RECENT)
        felt = ratings_of(self._world, recent["position"], recent["history"])
        lines = self._writer.history(recent)
        for row, items in enumerate(recent["history"]):
            for place, rating in enumerate(felt[row, items > 0].tolist()):
                if np.isfinite(rating):
                    lines[row][place] += ": you enjoyed it" if rating > LIKED else ": it left you disappointed"
        return lines

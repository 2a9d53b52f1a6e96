"""``tallrec``: one instruction per item, answered by the probability that the first word is Yes."""

from dataclasses import replace
from typing import Any, final

from vrsim.agent import Decisions, Observations
from vrsim.agents.composer import Composer, Filling, step
from vrsim.agents.decisions import YES_NO, by_yes
from vrsim.agents.language import LanguageAgent
from vrsim.agents.past import likes
from vrsim.episodes import Episodes
from vrsim.models.model import Model
from vrsim.text.templates import QUOTED
from vrsim.world import World

__all__ = ["TALLREC", "TALLRec"]

TALLREC = step(
    "tallrec",
    1,
    "The user liked:\n{liked}\n\n"
    "The user did not like:\n{disliked}\n\n"
    "Another item:\n{candidate}\n\n"
    "Going by what the user liked and did not like, will the user like this one? Answer with one word, Yes or No.",
    QUOTED,
)


@final
class TALLRec(LanguageAgent):
    """Ask of every item whether the user will like it, and take the probability of Yes (Bao et al., RecSys 2023).

    The shown history stands in two lists of titles, liked (rated above 3) and not liked. P(Yes) is the probability of
    the first word Yes beside No; a judgment is Yes from 1/2 on, a selection takes the item with the highest. No
    words are generated: ``max_tokens``, ``temperature`` and ``top_p`` have no effect, and the model must tell
    probabilities.

    Departures: the model is not fine-tuned here, name one that is; in worlds without ratings everything taken counts
    as liked, and so does an item without a rating; a selection, which the paper does not ask, takes one prompt per
    candidate; as many items as the protocol shows, not ten.
    """

    templates = (TALLREC,)

    def __init__(self, model: str | Model, **options: Any) -> None:
        super().__init__(model, **options)

    def prepare(self, world: World, training: Episodes) -> None:
        self._drawn = replace(self._sampling, max_tokens=0)
        self._titles = self.writer(replace(TALLREC, lines="titles"), 0)
        self._composer = Composer(TALLREC, self._model, 0)

    def act(self, observations: Observations) -> Decisions:
        history, slates = observations["history"], observations["slate"]
        liked = likes(self._world, observations["position"], history)
        fillings = []
        for items, good, slate in zip(history.tolist(), liked.tolist(), slates.tolist(), strict=True):
            past = [
                ("liked" if like else "disliked", f"- {self._titles.item(item)}")
                for item, like in zip(items, good, strict=True)
                if item
            ]
            fillings += [Filling({"candidate": f"- {self._titles.item(item)}"}, past) for item in slate]
        prompts, cut = self._composer.write("judgment", fillings, YES_NO)
        return by_yes(prompts, self.ask(prompts, self.seeded(self._drawn)), slates, cut)

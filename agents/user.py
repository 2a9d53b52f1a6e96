"""``us-agent``: the User Simulation Agent of VRAgent-R1."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from vrsim.agent import Decisions, Observations
from vrsim.agents.calibration import Calibration, fit_calibration
from vrsim.agents.decisions import by_probability, by_words
from vrsim.agents.language import LanguageAgent
from vrsim.episodes import Episodes
from vrsim.errors import OptionError, UnknownNameError
from vrsim.models.model import Completion, Prompt
from vrsim.text.templates import TITLES, US_AGENT, US_AGENT_DIRECT, get_template
from vrsim.world import World

__all__ = ["UserAgent"]

ANSWERS = ("auto", "words", "probability")
CUE = "</think><answer>"
OFFERED = 1000  # of the most popular titles, with which a judged one is compared
RIVAL = 10  # by probability among them, from 1
FAINTEST = -700.0  # logarithm of a probability
ASKED = 256  # questions at once while calibrating


@final
class UserAgent(LanguageAgent):
    """Think about the user's status, then answer (VRAgent-R1, AAAI 2026, section "US Agent").

    Switches of the paper's ablation: ``cot`` (reasoning before the answer), ``comments`` and ``captions`` (shown
    where the world has them). ``history``: how many of the newest items are shown, 0 = those of the observation; others
    are looked up, so that @shuffled-history leaves them in order. ``answer``: "words" reads the reply, "probability"
    takes the most probable label, after the reasoning if there is any; "auto" is words, except for a model that answers
    by titles. ``calibrate``: that many questions of the training users are answered first, and say what the
    probabilities are worth (vrsim.agents.calibration); 0 = they are taken as they are. A model that was made to answer
    by titles then judges one beside its rival: the tenth most probable of it and the 1,000 most popular titles that are
    not in the history shown. ``prompt`` names the template, "" = the one that the model was made for, else "us-agent".

    Departures: the answer is the label of a candidate, not its title; candidates come in a random order; genres
    stand where there is no caption.
    """

    templates = (US_AGENT, US_AGENT_DIRECT, TITLES)

    def __init__(
        self,
        model: str = "pocket",
        cot: bool = True,
        comments: bool = True,
        captions: bool = True,
        history: int = 0,
        answer: str = "auto",
        prompt: str = "",
        calibrate: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        for name, value in (("cot", cot), ("comments", comments), ("captions", captions)):
            if type(value) is not bool:
                raise OptionError(f"{name} must be True or False, found {value!r}")
        for name, value in (("history", history), ("calibrate", calibrate)):
            if type(value) is not int or value < 0:
                raise OptionError(f"{name} must be an integer from 0, found {value!r}")
        if answer not in ANSWERS:
            raise UnknownNameError("answer", str(answer), ANSWERS)
        if prompt:
            get_template(prompt)
        self._cot, self._answer, self._prompt = cot, answer, prompt
        self._shown = {"comments": comments, "captions": captions}
        self._history, self._calibrate = history, calibrate
        self._calibration: Calibration | None = None

    def prepare(self, world: World, training: Episodes) -> None:
        template = get_template(self._prompt or self._model.completes or US_AGENT.name)
        if template is US_AGENT and not self._cot:
            template = US_AGENT_DIRECT
        titles = template.options == "titles"
        if titles and not (self._cot and self._answer != "words" and all(self._shown.values())):
            raise OptionError(
                f"{self._model.name} is shown titles and answers by their probabilities: cot, comments, captions and "
                "answer=words change nothing; give prompt=us-agent to ask it in words"
            )
        self._by_probability = self._answer == "probability" or titles
        sampling = self._sampling
        if titles or (self._by_probability and not template.reasoning):
            sampling = replace(sampling, max_tokens=0)
        elif self._by_probability:
            sampling = replace(sampling, stop=("</think>",))
        else:
            sampling = replace(sampling, stop=("</answer>",))
        self._drawn = sampling
        self._writer = self.writer(template, sampling.max_tokens, history=self._history, **self._shown)
        self._offered: dict[str, int] = {}  # place of each title that a judged one is compared with; {} = with none
        if self._calibrate and titles and self._model.completes == TITLES.name:
            popular = (1 + np.argsort(-world.popularity[1:], kind="stable")[:OFFERED]).tolist()
            words = dict.fromkeys(self._writer.answer(item) for item in popular)  # two items may have one title
            self._offered = {title: place for place, title in enumerate(words)}
        if self._calibrate:
            self._learn(training.thinned(self._calibrate))

    def _learn(self, training: Episodes) -> None:
        """What the probabilities are worth."""
        if not self._by_probability:
            raise OptionError("calibrate needs the probabilities of answers; set answer=probability")
        self._calibration, seed = None, self._seed
        self.reset(0)  # the same questions whenever it is fitted
        index = np.arange(len(training))
        parts = [self._weighed(training.observe(index[at : at + ASKED])) for at in range(0, len(index), ASKED)]
        self.reset(seed)
        valid, shares = (
            np.concatenate([getattr(part, name) for part, _ in parts]) for name in ("valid", "probability")
        )
        rivals = np.concatenate([told for _, told in parts])[valid] if self._judges_beside(training.slates) else None
        self._calibration = fit_calibration(shares[valid], training.answers[valid], rivals)

    def act(self, observations: Observations) -> Decisions:
        if self._by_probability:
            return self._weighed(observations)[0]
        written = self._writer.write(observations, self.order(observations))
        prompts = [Prompt(prompt.messages, prompt.text) for prompt in written.prompts]
        return by_words(written, self.ask(prompts, self.seeded(self._drawn)), self._writer.template.reasoning)

    def _judges_beside(self, slates: np.ndarray) -> bool:
        """Whether these questions are judgments of titles beside others."""
        return bool(self._offered) and slates.shape[1] == 1

    def _weighed(self, observations: Observations) -> tuple[Decisions, np.ndarray | None]:
        """Decisions by probability, and the log probabilities of the judged titles' rivals, float (B,)."""
        written = self._writer.write(observations, self.order(observations))
        template, prompts, rivals = self._writer.template, written.prompts, None
        beside = self._judges_beside(observations["slate"])
        if template.options == "labels":
            cue = CUE if template.reasoning else "<answer>"
            prompts = [replace(prompt, cue=cue) for prompt in prompts]
        elif beside:
            prompts = [replace(prompt, options=(*prompt.options, *self._offered)) for prompt in prompts]
        completions = self.ask(prompts, self.seeded(self._drawn))
        if beside:
            rivals = self._rivals(completions, self._writer.seen(observations))
            completions = [replace(each, logprobs=each.logprobs and each.logprobs[:1]) for each in completions]
        n_items, reasoning = self._world.n_items, template.reasoning
        return by_probability(written, completions, n_items, reasoning, self._calibration, rivals), rivals

    def _rivals(self, completions: Sequence[Completion], seen: Observations) -> np.ndarray:
        """How probable the rival of each judged title is: its logarithm, float (B,), at least FAINTEST; of fewer titles
        than RIVAL the last one.
        """
        silent = (0.0,) * (1 + len(self._offered))
        logs = np.array([each.logprobs or silent for each in completions])  # of the title itself, then of those offered
        for row, (items, [judged]) in enumerate(zip(seen["history"].tolist(), seen["slate"].tolist(), strict=True)):
            known = {self._writer.answer(item) for item in (*items, judged) if item}
            logs[row, [1 + self._offered[title] for title in known & self._offered.keys()]] = -np.inf
        page = -np.sort(-logs, axis=1)[:, :RIVAL]
        last = np.maximum(np.isfinite(page).sum(axis=1), 1) - 1
        return np.maximum(page[np.arange(len(page)), last], FAINTEST)

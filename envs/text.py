"""The environments in words: the observation is a prompt, the action is what a model says."""

from typing import Any, ClassVar, final

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from vrsim.envs.decision import DecisionEnv
from vrsim.errors import ActionError, OptionError
from vrsim.text.replies import NO_ANSWER, labels_of, read_reply, tagged
from vrsim.text.rewards import paper_reward
from vrsim.text.templates import get_template
from vrsim.text.writer import Writer, shown_order

__all__ = ["TextInterface", "Words"]

LONGEST = 1_000_000  # characters


@final
class Words(spaces.Space[str]):
    """Any text of at most a million characters; samples are drawn from ``examples``.

    Gymnasium's Text draws random characters of an alphabet, and its own has no blank.
    """

    def __init__(self, examples: tuple[str, ...], seed: int | np.random.Generator | None = None) -> None:
        self.examples = examples
        super().__init__(dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: None = None, probability: None = None) -> str:
        return self.examples[int(self.np_random.integers(len(self.examples)))]

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= LONGEST

    def __repr__(self) -> str:
        return "Words()"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Words) and self.examples == other.examples

    __hash__ = None


@final
class TextInterface(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """A one-decision environment for a model that reads and writes.

    ## Observation
    The prompt, a string. ``info["messages"]`` has it as chat messages, where its template is for chat;
    ``info["labels"]`` the labels of the candidates as shown.

    ## Action
    The completion, a string. The candidates are shown in an order that is drawn anew at each reset.

    ## Reward
    ``vrsim.text.rewards.paper_reward``: 1 if the reply is well-formed, and the reward of the inner environment for the
    label in its answer block; without a well-formed answer that of a wrong one (VRAgent-R1: R_format + R_jud,
    R_format + R_sel).
    After the step ``info`` says ``well_formed``, and ``choice``: the action by the lenient reading, -1 = none.
    ``info["correct"]`` judges that one, as an evaluation does.

    ## Arguments
    ``env`` a judgment or selection environment; ``prompt`` the name of a template; ``comments`` and ``captions``
    as in vrsim.text.writer.Writer.

    ## Version History
    v0: first version, with the environments' v0.
    """

    metadata: ClassVar[dict[str, Any]] = DecisionEnv.metadata

    def __init__(self, env: gym.Env, prompt: str = "us-agent", comments: bool = True, captions: bool = True) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, prompt=prompt, comments=comments, captions=captions)
        gym.Wrapper.__init__(self, env)
        inner = env.unwrapped
        if not isinstance(inner, DecisionEnv):
            raise OptionError(f"TextInterface reads a judgment or selection environment, found {type(inner).__name__}")
        self._template = get_template(prompt)
        if self._template.options == "titles":
            raise OptionError(f"the template {prompt!r} asks for probabilities, not for words; take another prompt")
        self._writer = Writer(inner.episodes.world, self._template, comments=comments, captions=captions)
        self._labels = labels_of(inner.episodes.task, inner.episodes.n_options)
        replies = tuple(tagged(label, "..." if self._template.reasoning else None) for label in self._labels)
        self.observation_space = Words(("a prompt",))
        self.action_space = Words((*replies, "no idea"))
        self._written = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Ask an episode in words."""
        observation, info = self.env.reset(seed=seed, options=options)
        one = {name: array[None] for name, array in observation.items()}
        rollout = int(self.unwrapped.np_random.integers(2**31))
        self._written = self._writer.write(one, shown_order(one, rollout))
        return self._prompt, info | self._asked

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Answer it. Raises ActionError for anything but a string."""
        if self._written is None:
            raise ActionError("step() before reset(): there is no episode to answer yet")
        if not isinstance(action, str):
            raise ActionError(f"expected the words of a completion, found {action!r} ({type(action).__name__})")
        reply = read_reply(action, self._labels, self._template.reasoning)
        place = self._place(reply.strict_choice)
        answer = int(self.unwrapped.episodes.answers[self.unwrapped.episode])
        wrong = (answer + 1) % self.unwrapped.episodes.n_options
        _, _, terminated, truncated, info = self.env.step(wrong if place == NO_ANSWER else place)
        choice = self._place(reply.choice)
        reward = paper_reward(reply, self._written.shown(answer), self.unwrapped.episodes.task)
        info |= {"well_formed": reply.well_formed, "choice": choice, "correct": choice == answer}
        return self._prompt, reward, terminated, truncated, info | self._asked

    def _place(self, choice: int) -> int:
        return NO_ANSWER if choice == NO_ANSWER else int(self._written.places(np.array([choice]))[0])

    @property
    def _prompt(self) -> str:
        return self._written.prompts[0].words

    @property
    def _asked(self) -> dict[str, Any]:
        messages = [{"role": role, "content": words} for role, words in self._written.prompts[0].messages]
        return {"messages": messages, "labels": list(self._written.labels)}

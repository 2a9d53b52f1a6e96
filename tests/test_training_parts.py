"""The parts of training that need no model: rewards, the curriculum, the signs of collapse, earlier positions."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.scripted_model import ScriptedModel
from tests.trained import grpo, sft
from vrsim import make_episodes
from vrsim.errors import TrainingError
from vrsim.models.model import Prompt
from vrsim.protocols import get_protocol
from vrsim.text.replies import read_reply, tagged
from vrsim.text.rewards import REPLY_REWARDS
from vrsim.text.templates import POCKET, US_AGENT, get_template
from vrsim.text.writer import Writer
from vrsim.training.asked import prompts_of
from vrsim.training.collapse import Collapse
from vrsim.training.curriculum import schedule
from vrsim.training.earlier import earlier_world
from vrsim.training.examples import Questions
from vrsim.training.reward import Rewarder

LABELS = ("A", "B", "C")


@pytest.mark.parametrize(
    ("reward", "task", "right", "wrong", "malformed"),
    [
        ("vragent-paper", "judgment", 2.0, 0.0, -1.0),
        ("vragent-paper", "selection", 3.0, 1.0, 0.0),
        ("vragent-code", "judgment", 2.0, -1.5, -2.0),
        ("vragent-code", "selection", 2.0, -1.5, -2.0),
        ("mllmrec-r1", "selection", 1.0, 0.3, -1.0),
    ],
)
def test_the_published_rewards(reward, task, right, wrong, malformed):
    labels = ("No", "Yes") if task == "judgment" else LABELS
    rule = REPLY_REWARDS[reward]

    def worth(text):
        return rule(read_reply(text, labels, False), 1, task)

    assert worth(tagged(labels[1])) == right
    assert worth(tagged(labels[0])) == wrong
    assert worth(f"{labels[1]}, because I like it") == malformed
    assert worth("") == malformed


def test_the_log_knows_what_the_replies_are_like():
    rewarder = Rewarder("vragent-paper", False, ("judgment", "selection"))
    told = {}
    judged = ["<answer>Yes</answer>", "<answer>Yes</answer>", "<answer>No</answer>", "no idea"]
    chosen = ["<answer>A</answer>", "<answer>C</answer>", "<answer>C</answer>", "<answer>D</answer>"]
    rewards = rewarder(
        completions=judged + chosen,
        prompts=["?"] * 8,
        log_metric=told.__setitem__,
        task=["judgment"] * 4 + ["selection"] * 4,
        labels=[["No", "Yes"]] * 4 + [list(LABELS)] * 4,
        right=[1, 0, 0, 0, 0, 1, 2, 2],
        user=[0] * 8,
        t=[1] * 8,
        lead=[""] * 8,
    )
    assert rewards == [2.0, 0.0, 2.0, -1.0, 3.0, 1.0, 3.0, 1.0]
    assert told["vrsim/format"] == 7 / 8
    assert told["vrsim/answered"] == 6 / 8
    assert (told["vrsim/accuracy_judgment"], told["vrsim/accuracy_selection"]) == (0.5, 0.5)
    assert told["vrsim/yes"] == 2 / 3
    assert told["vrsim/place"] == pytest.approx((0 + 1 + 1) / 3)
    assert told["vrsim/top_answer"] == 2 / 6


def test_a_prompt_that_ends_with_the_thought_begun_counts_as_part_of_the_reply():
    rewarder = Rewarder("vragent-paper", True, ("judgment",))
    columns = {"task": ["judgment"], "labels": [["No", "Yes"]], "right": [1], "user": [0], "t": [1]}
    text = "they like it</think><answer>Yes</answer>"
    assert rewarder(completions=[text], prompts=["?"], lead=["<think>"], **columns) == [2.0]
    assert rewarder(completions=[text], prompts=["?"], lead=[""], **columns) == [-1.0]


# The curriculum


def test_judgments_come_first_and_stay_in_the_mix():
    order = schedule("judgment-first", 10, 8, 0.4, 0.25, 0, ("judgment", "selection"))
    assert len(order) == 80
    assert set(order[:32]) == {"judgment"}
    for step in range(4, 10):
        assert Counter(order[step * 8 : step * 8 + 8]) == {"selection": 6, "judgment": 2}


def test_a_share_that_is_no_whole_number_is_reached_on_average():
    order = schedule("mixed", 40, 3, 0.4, 0.25, 0, ("judgment", "selection"))
    assert Counter(order) == {"selection": 90, "judgment": 30}


def test_one_task_is_trained_alone():
    assert set(schedule("selection-only", 3, 2, 0.4, 0.25, 0, ("judgment", "selection"))) == {"selection"}
    assert set(schedule("judgment-first", 3, 2, 0.4, 0.25, 0, ("judgment",))) == {"judgment"}


# Collapse


def seen(rows, window=5):
    """The first reason that a run of metrics gives, and its step."""
    watch = Collapse(window)
    return next(((step, why) for step, row in enumerate(rows) if (why := watch.see(step, row))), None)


HEALTHY = {"answered": 0.98, "kl": 0.05, "top_answer": 0.6, "loss": 0.1, "reward": 1.2}


def test_a_healthy_run_goes_on():
    rng = np.random.default_rng(0)
    rows = [{**HEALTHY, "answered": rng.uniform(0.6, 1), "top_answer": rng.uniform(0.3, 0.95)} for _ in range(500)]
    assert seen(rows) is None
    spikes = [{**HEALTHY, "kl": 200.0 if step % 3 == 0 else 0.05} for step in range(60)]
    assert seen(spikes) is None, "one improbable token is no collapse"
    learning = [{**HEALTHY, "answered": share} for share in np.linspace(0, 1, 100)]
    assert seen(learning) is None, "a model that does not know the form yet is not falling apart"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answered": 0.1}, "replies with an answer fell from 0.98"),
        ({"kl": 50.0}, "nats per token"),
        ({"top_answer": 1.0}, "100% of the answers are the same label"),
        ({"loss": math.nan}, "loss is nan"),
        ({"grad_norm": "inf"}, "grad_norm is inf"),
    ],
)
def test_each_way_of_falling_apart_is_noticed_within_a_window(change, reason):
    step, why = seen([HEALTHY] * 20 + [{**HEALTHY, **change}] * 20)
    assert reason in why
    assert 20 <= step <= 25


# Earlier positions


def test_earlier_positions_are_those_before_the_held_out_ones(tiny):
    users = np.argsort(tiny.interactions.lengths)[-3:]
    earlier, owners = earlier_world(tiny, users, 10_000, 0)
    assert set(owners.tolist()) == set(users.tolist())
    selves, t = earlier.held_out
    for self_, place, target in zip(selves, t, earlier.targets, strict=True):
        known = tiny.interactions.of(int(owners[self_]))
        assert place < len(known) - tiny.holdout, "a held-out position must not come back as an earlier one"
        assert known[place] == target
        np.testing.assert_array_equal(earlier.interactions.of(self_)[:place], known[:place])
    for task in ("judgment", "selection"):
        everyone = replace(get_protocol("vragent-paper"), test_share=0.0)
        episodes = make_episodes(earlier, everyone, task, 3, "train")
        assert len(episodes) >= len(t)


def test_questions_about_earlier_positions_are_about_training_users_and_what_they_had_seen(tiny):
    questions = Questions(tiny, sft("pocket", earlier=60), ScriptedModel())
    assert len(earlier_world(tiny, questions.users, 60, 0)[0].targets) <= 60
    stream = questions.stream("selection", Writer(tiny, POCKET))
    taken = [next(stream) for _ in range(400)]
    assert {example.position[0] for example in taken} <= set(questions.users.tolist())
    before = [example for example in taken if example.position[1] < tiny.interactions.lengths[example.position[0]] - 1]
    assert 0 < len(before) < len(taken)
    for example in taken:
        known = tiny.interactions.of(example.position[0])
        assert example.history == tuple(known[: example.position[1]][-20:].tolist())
        assert example.slate[example.right] == known[example.position[1]]


def test_a_world_without_earlier_positions_says_so(tiny):
    bare = replace(tiny, manifest=tiny.manifest | {"recommender": {"kind": "candidates"}})
    with pytest.raises(TrainingError, match="train with earlier=0"):
        earlier_world(bare, np.array([0]), 10, 0)


# Questions


def test_groups_share_a_slate_and_prompts_permute_it(tiny):
    questions = Questions(tiny, grpo("pocket"), ScriptedModel())
    stream = questions.stream("selection", Writer(tiny, US_AGENT))
    examples = [next(stream) for _ in range(600)]
    rights = Counter(example.right for example in examples)
    assert len(rights) == 5
    for example in examples[:50]:
        title = tiny.catalog.label(example.slate[example.right])
        label = example.labels[example.right]
        assert f'\n{label}. "{title}"' in example.prompt.messages[-1][1]


def test_the_template_of_pocket_is_plain_and_marks_titles_behind(tiny):
    episodes = make_episodes(tiny, "uniform", "selection", 2)
    [prompt] = Writer(tiny, POCKET).write(episodes.observe(np.array([0]))).prompts
    titles = [tiny.catalog.label(int(item)) for item in episodes.slates[0]]
    shown = "".join(f' "{title}"{label}' for title, label in zip(titles, LABELS, strict=True))
    assert prompt.text.endswith(f"\nShown:{shown}")
    assert get_template("pocket").reasoning is False


def test_other_agents_prompts_are_those_that_they_ask(tiny):
    episodes = make_episodes(tiny, "uniform", "judgment", split="train")
    model = ScriptedModel()
    asked = list(prompts_of("tallrec", episodes, np.arange(3), model, 0))
    assert len(asked) == 3
    assert all(isinstance(prompt, Prompt) and "Another item" in prompt.messages[-1][1] for prompt in asked)
    assert model.asked == [], "tallrec asks nothing else"
    list(prompts_of("mllm-msr", episodes, np.arange(2), model, 0))
    assert len(model.asked) >= 2, "mllm-msr asks for summaries, which the model writes"
    with pytest.raises(TrainingError, match="asks no single Yes or No"):
        list(prompts_of("agent4rec", episodes, np.arange(1), ScriptedModel(), 0))

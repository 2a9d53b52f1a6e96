"""The suite simulators, what the suites refuse, and variants that would change nothing."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.chat_server import ChatServer, Reply
from vrsim.agent import Decisions, Reading
from vrsim.catalog import Catalog
from vrsim.episodes import make_episodes
from vrsim.loop import Played
from vrsim.records import Question
from vrsim.suites import SIMULATORS, VARIANTS, landmarks, simulator_agents, what_differs
from vrsim.training.config import GrpoConfig
from vrsim.variants import mean_reward

JUDGMENT = Question("vragent-paper", "judgment", 1, "all")
FEW = ("--world", "tiny", "--users", 3, "--seeds", 1, "--m", 1)


# Simulators


def test_one_model_is_asked_by_every_simulator(vrsim_command, small_pocket):
    folder = small_pocket.partition(":")[2]  # as any other model of its kind, its untrained words are good enough
    words = ("bench", "--suite", "simulators", "--model", f"hf:{folder},max_tokens=2,store=off", *FEW, "--out", "run")
    code, out, _ = vrsim_command(*words)
    assert code == 0
    for name in SIMULATORS:
        assert name in out
    assert "microlens-100k, published in VRAgent-R1" in out
    assert "left out" not in out
    told = json.loads(vrsim_command(*words, "--json")[1])
    assert {row["agent"].partition(":")[0] for row in told["rows"]} == set(SIMULATORS)
    assert [row["simulator"] for row in told["published"]][-1] == "VRAgent-R1"
    assert told["left_out"] == {}


def test_pocket_is_asked_by_the_us_agent_alone(vrsim_command, small_pocket):
    code, out, _ = vrsim_command("bench", "--suite", "simulators", "--model", small_pocket, *FEW, "--out", "run")
    assert code == 0
    assert "left out: zero-shot: pocket knows titles and follows no instructions" in out
    assert out.count("left out") == len(SIMULATORS) - 1
    told = json.loads((vrsim_command("bench", "--suite", "simulators", "--model", small_pocket, *FEW, "--json"))[1])
    assert {row["agent"] for row in told["rows"]} == {f"us-agent:model={small_pocket}"}


@pytest.mark.parametrize("model", ["pocket", "pocket,steps=10"])
def test_pocket_is_known_by_its_name(model, tiny):
    assert simulator_agents(model, tiny, JUDGMENT)[0] == (f"us-agent:model={model}",)


def test_a_trained_model_is_asked_as_it_was_trained(tiny):
    agents, left_out = simulator_agents("checkpoint:runs/user", tiny, JUDGMENT)
    assert agents == ("checkpoint:runs/user",)
    assert set(left_out) == set(SIMULATORS)


@pytest.mark.parametrize("tells", [True, False])
def test_a_server_without_probabilities_is_not_asked_for_them(tells, tiny):
    pytest.importorskip("openai", reason="models behind a server need openai")
    top = [{"token": word, "logprob": -0.7} for word in ("Yes", "No")]
    choice = {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}} if tells else {}
    with ChatServer(lambda request, before: Reply("Yes", choice=choice)) as server:
        model = f"openai:m,base_url={server.url},store=off"
        agents, left_out = simulator_agents(model, tiny, JUDGMENT)
        assert 1 <= sum(server.counts.values()) <= 2, "one user is enough"
    asked = [name for name in SIMULATORS if tells or name not in ("tallrec", "mllm-msr")]
    assert agents == tuple(f"{name}:model={model}" for name in asked)
    assert set(left_out) == set(SIMULATORS) - set(asked)


def test_published_rows_are_those_of_the_data_where_there_are_some():
    assert {row.data for row in landmarks(["uniform"], "steam:recommender=EASE")} == {"steam"}
    assert {row.data for row in landmarks(["uniform"], "tiny")} == {"ml-1m", "steam"}
    assert landmarks(["rank-matched"], "tiny") == []


# Variants


def left_out(world, **options) -> dict[str, str]:
    kept, without = what_differs(GrpoConfig(**({"world": "tiny", "prompt": "us-agent"} | options)), world)
    assert {variant.name for variant in kept} | set(without) == {variant.name for variant in VARIANTS}
    return without


@pytest.fixture
def told(tiny):
    """A world with comments and captions."""
    captions = pa.array(["A quiet film."] * tiny.n_items)
    comments = pa.chunked_array([["Fine."] * len(tiny.interactions)])
    table = tiny.catalog.table.set_column(4, "caption", captions)
    return replace(tiny, catalog=Catalog(table), interactions=replace(tiny.interactions, comments=comments))


def test_nothing_is_left_out_where_the_prompt_shows_everything(told):
    assert left_out(told) == left_out(told, model="hf:some/model", prompt="") == {}


def test_what_the_world_or_the_prompt_lacks_is_left_out(tiny, told):
    without = left_out(tiny)
    assert without == {f"GRPO, no {x}": f"the world tiny has no {x}." for x in ("comments", "captions")}
    assert list(left_out(told, prompt="us-agent-direct")) == ["GRPO, no CoT"]
    assert list(left_out(told, prompt="", model="pocket")) == ["GRPO, no CoT", "GRPO, no comments", "GRPO, no captions"]


def test_the_full_method_is_not_trained_twice(told):
    same = "it is the full method here, which has {} already."
    assert left_out(told, comments=False) == {"GRPO, no comments": same.format("comments=False")}
    assert left_out(told, curriculum="mixed") == {"GRPO, mixed from the start": same.format("curriculum=mixed")}
    one = "every curriculum is the same where the only task is judgment."
    curricula = ("GRPO, mixed from the start", "GRPO, selection only")
    assert left_out(told, tasks=("judgment",)) == dict.fromkeys(curricula, one)
    assert left_out(told, protocol="agent4rec-1to1") == dict.fromkeys(curricula, one)


def test_the_reward_is_that_of_the_paper_for_the_strict_reading(tiny):
    whole = make_episodes(tiny, "vragent-paper", "selection", 3)
    right = whole.answers[:4]
    action = np.where([True, False, True, True], right, (right + 1) % 4)
    texts = ["<answer>A</answer>", "<answer>B</answer>", "<answer>(A)</answer>", "The answer is A"]
    formed = np.array([True, True, True, False])
    reading = Reading([""] * 4, formed, np.zeros(4, np.int64), np.zeros(4))
    played = Played(whole, np.arange(4), Decisions(action, text=texts, reading=reading), action == right, None, None)
    assert mean_reward([played]) == (3 + 1 + 1 + 0) / 4
    weighed = replace(played, decisions=replace(played.decisions, probability=np.full((4, 4), 0.25)))
    assert mean_reward([weighed]) is mean_reward([replace(played, decisions=Decisions(action))]) is None


# Refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--suite us-ablatoin", "unknown suite 'us-ablatoin'. Did you mean 'us-ablation'"),
        ("--suite us-ablation --agent uniform", "--suite names its agents itself; leave --agent out"),
        ("--suite simulators --model pocket --agent uniform", "--suite names its agents itself; leave --agent out"),
        ("--model pocket", "--model belongs to --suite; name the model of an agent"),
        ("--preset pocket", "--preset belongs to --suite us-ablation"),
        ("--option steps=3", "--option belongs to --suite us-ablation"),
        ("--suite simulators", "--suite simulators needs --model"),
        ("--suite simulators --model pocket --preset pocket", "--preset does not go with --suite simulators"),
        ("--suite simulators --model poket --world tiny", "unknown kind of model 'poket'. Did you mean 'pocket'"),
        ("--suite us-ablation --episodes q.jsonl", "--episodes does not go with --suite us-ablation"),
        (
            "--suite us-ablation --protocol uniform --protocol tallrec",
            "expected one --protocol, found uniform, tallrec",
        ),
        ("--suite us-ablation --option steps", "expected --option NAME=VALUE, found 'steps'"),
        ("--suite us-ablation --world tiny --option world=tiny", "world is given twice"),
        ("--suite us-ablation --option seed=3", "give their number as --seeds"),
        ("--suite us-ablation --option step=3", "unknown option of training 'step'. Did you mean 'steps'"),
        ("--suite us-ablation --world tiny --option sft.step=3", "'step'. Did you mean 'steps'"),
        ("--suite us-ablation --option sft.history=3", "sft.history is that of GRPO: give it as history"),
        ("--suite us-ablation --preset poket", "unknown preset 'poket'. Did you mean 'pocket'"),
        ("--suite us-ablation --preset vragent-code", "has no fine-tuning to compare with; choose one with sft=NAME"),
        ("--suite us-ablation --world tiny --seeds 0", "seeds must be an integer from 1, found 0"),
        ("--suite us-ablation --world tiny --protocol agent4rec-1to1 --task selection", "asks no selection"),
        ("--suite us-ablation --world tiny --protocol uniform --out a,b", "choose a folder without commas"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_trained(words, message, vrsim_command, tmp_path):
    code, out, err = vrsim_command("bench", *words.split())
    assert (code, out) == (1, "")
    assert message in err
    assert not {entry.name for entry in tmp_path.iterdir()} & {"runs", "a,b"}

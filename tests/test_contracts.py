"""Everything registered keeps its contract, without being named here."""

import importlib.util
import itertools
import sys

import gymnasium as gym
import pytest
from gymnasium.envs.registration import load_env_creator

import vrsim  # registers the environments
from vrsim.agents.asking import Asking
from vrsim.agents.language import LanguageAgent
from vrsim.envs.decision import DecisionEnv
from vrsim.envs.session import SessionEnv
from vrsim.registry import (
    agent_class,
    baselines,
    list_agents,
    list_policies,
    make_agent,
    make_policy,
    policies,
    policy_class,
)
from vrsim.testing import AgentContract, EnvironmentContract
from vrsim.testing_policies import PolicyContract
from vrsim.testing_sessions import SessionContract

assert vrsim.__version__

QUICK = {"sb3": "sb3:steps=32,n_steps=32,batch_size=32,n_epochs=1"}  # agents that would train for too long
QUICK_POLICIES = {
    "linear": "linear:turns=500",
    "linear:explore=ucb": "linear:explore=ucb,turns=500",
    "linear:explore=thompson": "linear:explore=thompson,turns=500",
    "sb3": "sb3:steps=512,n_steps=2,batch_size=128,n_epochs=1",
    "slateq": "slateq:turns=512,hidden=8,batch=16",
}
NEEDS = {"sb3": "stable_baselines3", "slateq": "torch"}  # libraries that not everyone has
TOY = "model=pocket,hidden=16,layers=1,steps=10,max_tokens=8"  # of the agents that ask a language model
ASK_THE_MODEL = {
    "test_a_decision_does_not_depend_on_the_other_questions_of_the_batch",
    "test_equal_seeds_and_observations_give_equal_decisions",
}


class Typist:
    """Somebody who answers whatever is asked: y where Yes or No is expected, a elsewhere."""

    def __init__(self):
        self.readline = itertools.cycle(["y\n", "a\n"]).__next__


@pytest.mark.parametrize("name", sorted({*list_agents(), *baselines()}))
class TestEveryAgent(AgentContract):
    @pytest.fixture(autouse=True)
    def _named(self, request, name, monkeypatch, toy_models):
        monkeypatch.setattr(sys, "stdin", Typist())
        if name == "checkpoint":  # its folder is made here
            pytest.importorskip("trl", reason="a checkpoint is trained first, which needs trl")
            self.questions = [question for question in AgentContract.questions if question[0] == "tiny"]
            self.name = f"{request.getfixturevalue('warm_pocket')},elsewhere=True"
            return
        reads = issubclass(agent_class(name.partition(":")[0]), LanguageAgent)
        needed = "transformers" if reads else NEEDS.get(name)
        if needed and not importlib.util.find_spec(needed):
            pytest.skip(f"agent {name!r} needs {needed}, not installed here")
        if reads:
            monkeypatch.setenv("VRSIM_HOME", str(toy_models))
        # Most questions are asked by several rules; those about the batch and the seed must reach the model each time.
        recorded = request.node.originalname not in ASK_THE_MODEL
        answers = f"{TOY},store={toy_models}/answers.sqlite" if recorded else TOY
        self.name = f"{name}:{answers}" if reads else QUICK.get(name, name)

    def make(self):
        return make_agent(self.name)


@pytest.mark.parametrize("name", sorted({*list_policies(), *policies()}))
class TestEveryPolicy(PolicyContract):
    @pytest.fixture(autouse=True)
    def _named(self, name, monkeypatch, toy_models):
        reads = issubclass(policy_class(name.partition(":")[0]), Asking)
        needed = "transformers" if reads else NEEDS.get(name)
        if needed and not importlib.util.find_spec(needed):
            pytest.skip(f"policy {name!r} needs {needed}, not installed here")
        if reads:
            monkeypatch.setenv("VRSIM_HOME", str(toy_models))
        self.name = f"{name}:{TOY}" if reads else QUICK_POLICIES.get(name, name)

    def make(self):
        return make_policy(self.name)


def environments(kind):
    ids = [id for id in gym.registry if id.startswith("vrsim/")]
    return sorted(id for id in ids if issubclass(load_env_creator(gym.registry[id].entry_point), kind))


def test_every_environment_is_of_one_of_both_kinds():
    ids = {id for id in gym.registry if id.startswith("vrsim/")}
    assert {*environments(DecisionEnv), *environments(SessionEnv)} == ids


@pytest.mark.parametrize("env_id", environments(SessionEnv))
class TestEverySessionEnvironment(SessionContract):
    @pytest.fixture(autouse=True)
    def _named(self, env_id):
        self.env_id = env_id


@pytest.mark.parametrize("env_id", environments(DecisionEnv))
class TestEveryEnvironment(EnvironmentContract):
    @pytest.fixture(autouse=True)
    def _named(self, env_id):
        self.env_id = env_id

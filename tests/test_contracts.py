"""Everything registered keeps its contract, without being named here."""

import importlib.util

import gymnasium as gym
import pytest

import vrsim  # registers the environments
from vrsim.registry import baselines, list_agents, make_agent
from vrsim.testing import AgentContract, EnvironmentContract

assert vrsim.__version__

QUICK = {"sb3": "sb3:steps=32,n_steps=32,batch_size=32,n_epochs=1"}  # agents that would train for too long
NEEDS = {"sb3": "stable_baselines3"}  # libraries that not everyone has


@pytest.mark.parametrize("name", sorted({*list_agents(), *baselines()}))
class TestEveryAgent(AgentContract):
    @pytest.fixture(autouse=True)
    def _named(self, name):
        if name in NEEDS and not importlib.util.find_spec(NEEDS[name]):
            pytest.skip(f"agent {name!r} needs {NEEDS[name]}, not installed here")
        self.name = QUICK.get(name, name)

    def make(self):
        return make_agent(self.name)


@pytest.mark.parametrize("env_id", sorted(id for id in gym.registry if id.startswith("vrsim/")))
class TestEveryEnvironment(EnvironmentContract):
    @pytest.fixture(autouse=True)
    def _named(self, env_id):
        self.env_id = env_id

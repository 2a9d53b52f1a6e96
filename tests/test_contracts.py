"""Everything registered keeps its contract, without being named here."""

import gymnasium as gym
import pytest

import vrsim  # registers the environments
from vrsim.registry import baselines, list_agents, make_agent
from vrsim.testing import AgentContract, EnvironmentContract

assert vrsim.__version__


@pytest.mark.parametrize("name", sorted({*list_agents(), *baselines()}))
class TestEveryAgent(AgentContract):
    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return make_agent(self.name)


@pytest.mark.parametrize("env_id", sorted(id for id in gym.registry if id.startswith("vrsim/")))
class TestEveryEnvironment(EnvironmentContract):
    @pytest.fixture(autouse=True)
    def _named(self, env_id):
        self.env_id = env_id

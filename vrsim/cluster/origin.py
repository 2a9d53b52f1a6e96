"""What a worker of Ray needs to be like the process that asked: the same world, agents, files and versions."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from vrsim.building import versions
from vrsim.errors import OptionError, WorldError
from vrsim.registry import list_agents, list_policies, register_agent, register_policy
from vrsim.world import World

__all__ = ["Origin"]


@dataclass(frozen=True, eq=False)
class Origin:
    """Where work comes from; the world itself does not travel, every machine has it."""

    world: str  # folder, or the name of one that is made in memory
    world_hash: str
    agents: Mapping[str, str]  # those that the process knows: name and "module:Class"
    policies: Mapping[str, str]
    folder: str  # paths in names start here
    versions: Mapping[str, str]  # of the libraries that can change a number

    @staticmethod
    def here(world: World) -> "Origin":
        """This process."""
        where = str(world.path or world.name), world.hash
        return Origin(*where, list_agents(), list_policies(), os.getcwd(), versions())

    def enter(self) -> World:
        """Make this process one like it, and load its world. Raises OptionError, WorldError where it cannot be."""
        if (found := versions()) != self.versions:
            pairs = {
                name: (found.get(name, "none"), self.versions.get(name, "none")) for name in {*found, *self.versions}
            }
            told = ", ".join(f"{name} {has}, not {had}" for name, (has, had) in sorted(pairs.items()) if has != had)
            raise OptionError(
                f"a machine of the cluster would give other numbers: it has {told}; install the same versions"
            )
        for name, target in self.agents.items():
            register_agent(name, target)
        for name, target in self.policies.items():
            register_policy(name, target)
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise OptionError(
                f"a machine of the cluster does not see {self.folder} ({error}): all of them need the same files under "
                "the same paths, as on a shared disk"
            ) from error
        return _load(self.world, self.world_hash)


@lru_cache(maxsize=1)
def _load(world: str, expected: str) -> World:
    """Kept, because a worker plays many cells of one run."""
    found = World.load(world)
    if found.hash != expected:
        raise WorldError(f"a machine of the cluster has another world at {world}: expected {expected}, {found.hash}")
    return found

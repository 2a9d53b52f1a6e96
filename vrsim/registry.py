"""Agents by name: the shipped ones, and those of other packages through an entry point."""

import inspect
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata

from vrsim.ablations import ABLATIONS, Ablated
from vrsim.agent import Agent
from vrsim.errors import OptionError, UnknownNameError
from vrsim.naming import check_options, parse_name

__all__ = ["ENTRY_POINT", "agent_class", "baselines", "list_agents", "make_agent", "register_agent", "shortcuts"]

ENTRY_POINT = "vrsim.agents"
"""Group of the entry point: ``my-agent = "my_package.my_module:MyAgent"`` makes ``my-agent`` known."""

_registered: dict[str, str] = {}


def register_agent(name: str, target: str) -> None:
    """Make ``name`` known as the agent class at ``target`` ("module:Class"), for this process."""
    _registered[name] = target


@cache
def _shipped() -> dict[str, str]:
    return import_module("vrsim.baselines").AGENTS | import_module("vrsim.agents").AGENTS


def list_agents() -> dict[str, str]:
    """Every known agent: name and "module:Class". Shipped names cannot be taken over."""
    found = {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINT)}
    return found | _registered | _shipped()


def agent_class(name: str) -> type[Agent]:
    """The class behind a name. Raises UnknownNameError."""
    known = list_agents()
    if name not in known:
        raise UnknownNameError("agent", name, known)
    module, _, attribute = known[name].partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(f"agent {name!r} is registered as {known[name]}, which cannot be loaded: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Agent)):
        raise OptionError(f"agent {name!r} is registered as {known[name]}, which is not a subclass of vrsim.Agent")
    return found


def make_agent(text: str) -> Agent:
    """An agent from its name and options, for example ``recommender:model=EASE,order=lowest``.

    ``AGENT@no-history`` and the other names of vrsim.ablations give the agent another history. Raises
    UnknownNameError for the name, an option or what follows the @, OptionError for a value.
    """
    plain, at, ablation = text.rpartition("@")
    if at and ablation in ABLATIONS:
        return Ablated(make_agent(plain), ablation)
    name, options = parse_name(text)
    misspelt = at and get_close_matches(ablation, ABLATIONS)  # an option may well hold an @ of its own
    if misspelt or ("@" in name and name not in list_agents()):
        raise UnknownNameError("ablation", ablation, ABLATIONS)
    cls = agent_class(name)
    if "" in options:  # ``llm:some/model`` gives the first option of the class without its name
        first = next(iter(inspect.signature(cls).parameters), None)
        if first is None:
            raise OptionError(f"agent {name!r} has no options, found {options['']!r}")
        if first in options:
            raise OptionError(f"option {first!r} stands twice in {text!r}")
        options = {first: options.pop("")} | options
    check_options(f"agent {name!r}", cls, options)
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise OptionError(f"agent {name!r}: {error}; write it as {name}:option=value") from error
    return cls(**options)


def baselines() -> list[str]:
    """The classical agents in the variants that a benchmark plays unless told otherwise."""
    names = import_module("vrsim.baselines").AGENTS
    return [f"{name}:{variant}" if variant else name for name in names for variant in agent_class(name).variants]


def shortcuts() -> list[str]:
    """The trivial agents, which know nothing of what a user wants: the audit plays them."""
    return list(import_module("vrsim.baselines").SHORTCUTS)

"""Agents and policies by name: the shipped ones, and those of other packages through an entry point."""

import inspect
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata
from typing import Any

from vrsim.ablations import ABLATIONS, Ablated
from vrsim.agent import Agent
from vrsim.errors import OptionError, UnknownNameError
from vrsim.naming import check_options, parse_name

__all__ = [
    "ENTRY_POINT", "POLICY_ENTRY_POINT", "agent_class", "baselines", "list_agents", "list_policies", "make_agent",
    "make_policy", "policies", "policy_class", "register_agent", "register_policy", "shortcuts",
]  # fmt: skip

ENTRY_POINT = "vrsim.agents"
"""Group of the entry point: ``my-agent = "my_package.my_module:MyAgent"`` makes ``my-agent`` known."""
POLICY_ENTRY_POINT = "vrsim.policies"
"""The same for recommender agents, subclasses of vrsim.session.policy.Policy."""

_registered: dict[str, str] = {}
_registered_policies: dict[str, str] = {}


def register_agent(name: str, target: str) -> None:
    """Make ``name`` known as the agent class at ``target`` ("module:Class"), for this process."""
    _registered[name] = target


def register_policy(name: str, target: str) -> None:
    """Make ``name`` known as the policy class at ``target`` ("module:Class"), for this process."""
    _registered_policies[name] = target


@cache
def _shipped() -> dict[str, str]:
    return import_module("vrsim.baselines").AGENTS | import_module("vrsim.agents").AGENTS


def _points(group: str) -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=group)}


def list_agents() -> dict[str, str]:
    """Every known agent: name and "module:Class". Shipped names cannot be taken over."""
    return _points(ENTRY_POINT) | _registered | _shipped()


def list_policies() -> dict[str, str]:
    """Every known policy: name and "module:Class". Shipped names cannot be taken over."""
    shipped = import_module("vrsim.baselines.recommending").POLICIES | import_module("vrsim.agents").POLICIES
    return _points(POLICY_ENTRY_POINT) | _registered_policies | shipped


def agent_class(name: str) -> type[Agent]:
    """The class behind a name. Raises UnknownNameError."""
    return _load("agent", name, list_agents(), Agent)


def policy_class(name: str) -> type:
    """The policy class behind a name. Raises UnknownNameError."""
    from vrsim.session.policy import Policy  # needs the agents of this module

    return _load("policy", name, list_policies(), Policy)


def _load(kind: str, name: str, known: dict[str, str], base: type) -> type:
    if name not in known:
        raise UnknownNameError(kind, name, known)
    if not isinstance(known[name], str):
        raise OptionError(f"{kind} {name!r} must be registered as 'module:Class', found {known[name]!r}")
    module, _, attribute = known[name].partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(f"{kind} {name!r} is registered as {known[name]}, which cannot be loaded: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, base)):
        expected = f"{base.__module__}.{base.__name__}".replace("vrsim.agent.", "vrsim.")
        raise OptionError(f"{kind} {name!r} is registered as {known[name]}, which is not a subclass of {expected}")
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
    return _make("agent", name, agent_class(name), text, options)


def make_policy(text: str) -> Any:
    """A policy from its name and options, for example ``epsilon-greedy:of=greedy,epsilon=0.2``.

    Raises UnknownNameError for the name or an option, OptionError for a value.
    """
    name, options = parse_name(text)
    return _make("policy", name, policy_class(name), text, options)


def _make(kind: str, name: str, cls: type, text: str, options: dict[str, Any]) -> Any:
    if "" in options:  # ``llm:some/model`` gives the first option of the class without its name
        first = next(iter(inspect.signature(cls).parameters), None)
        if first is None:
            raise OptionError(f"{kind} {name!r} has no options, found {options['']!r}")
        if first in options:
            raise OptionError(f"option {first!r} stands twice in {text!r}")
        options = {first: options.pop("")} | options
    check_options(f"{kind} {name!r}", cls, options)
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise OptionError(f"{kind} {name!r}: {error}; write it as {name}:option=value") from error
    return cls(**options)


def baselines() -> list[str]:
    """The classical agents in the variants that a benchmark plays unless told otherwise."""
    names = import_module("vrsim.baselines").AGENTS
    return [f"{name}:{variant}" if variant else name for name in names for variant in agent_class(name).variants]


def policies() -> list[str]:
    """The policies in the variants that a benchmark of sessions plays unless told otherwise."""
    names = list_policies()
    return [f"{name}:{variant}" if variant else name for name in names for variant in policy_class(name).variants]


def shortcuts() -> list[str]:
    """The trivial agents, which know nothing of what a user wants: the audit plays them."""
    return list(import_module("vrsim.baselines").SHORTCUTS)

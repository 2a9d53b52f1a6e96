"""Agents that read words: the home of language-model users. None ships with this version."""

if __name__ != "vrsim.agents":
    raise ImportError(f"this package is vrsim.agents, not {__name__}; import it under that name")

__all__ = ["AGENTS"]

AGENTS: dict[str, str] = {}  # name: where it lives; the registry reads this

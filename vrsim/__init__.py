"""vrsim: a gym for simulated users of recommender systems.

``import vrsim`` registers the environments; everything else is imported when it is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.10.0"

_ROOT = Path(__file__).parent.parent
if __name__ != "vrsim":
    raise ImportError(f"this package is vrsim, not {__name__}; import it as vrsim")
if (_ROOT / "pyproject.toml").exists():  # a checkout: envs, agents and baselines lie beside this folder
    __path__.append(str(_ROOT))

_HOME = {  # public name: where it lives; no name may be that of a module, which would replace it
    "Agent": "vrsim.agent",
    "Decisions": "vrsim.agent",
    "Episodes": "vrsim.episodes",
    "Protocol": "vrsim.protocols",
    "World": "vrsim.world",
    "list_agents": "vrsim.registry",
    "make_agent": "vrsim.registry",
    "make_episodes": "vrsim.episodes",
    "list_protocols": "vrsim.protocols",
    "play": "vrsim.loop",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'vrsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _register() -> None:
    from gymnasium.envs.registration import register, registry

    for name, vector, longest in (
        ("Judgment", "vector", None),
        ("Selection", "vector", None),
        ("Session", "session_vector", 20),
    ):
        if f"vrsim/{name}-v0" not in registry:
            register(
                id=f"vrsim/{name}-v0",
                entry_point=f"vrsim.envs.{name.lower()}:{name}Env",
                vector_entry_point=f"vrsim.envs.{vector}:{name}VectorEnv",
                max_episode_steps=longest,
            )


_register()

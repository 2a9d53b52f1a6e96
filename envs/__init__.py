"""The environments: judgment, selection, sessions, and their batched forms."""

from vrsim.envs.judgment import JudgmentEnv
from vrsim.envs.selection import SelectionEnv
from vrsim.envs.session import SessionEnv
from vrsim.envs.session_vector import SessionVectorEnv
from vrsim.envs.text import TextInterface
from vrsim.envs.vector import JudgmentVectorEnv, SelectionVectorEnv

if __name__ != "vrsim.envs":
    raise ImportError(f"this package is vrsim.envs, not {__name__}; import it under that name")

__all__ = [
    "JudgmentEnv", "JudgmentVectorEnv", "SelectionEnv", "SelectionVectorEnv", "SessionEnv", "SessionVectorEnv",
    "TextInterface",
]  # fmt: skip

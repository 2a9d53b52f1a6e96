"""Sessions: a user answers slate after slate, gets tired, leaves, and may come back."""

from vrsim.session.config import Mood, SessionConfig
from vrsim.session.engine import Sessions, Turn
from vrsim.session.features import FEATURES

__all__ = ["FEATURES", "Mood", "SessionConfig", "Sessions", "Turn"]

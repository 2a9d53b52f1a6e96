"""Fidelity: which simulated user may be trusted to choose between recommenders?"""

__all__ = []

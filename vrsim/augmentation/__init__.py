"""Augmentation: recommenders that are trained again with what simulated users said."""

__all__ = []

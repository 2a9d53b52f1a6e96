"""More machines: cells, sessions and other pieces of work as tasks of a Ray cluster."""

__all__ = []

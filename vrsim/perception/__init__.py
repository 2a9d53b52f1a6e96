"""The Item Perception Agent: what a video shows, put into words."""

__all__ = []

"""Training of simulated users: supervised fine-tuning and GRPO of a language model on a world's training users."""

__all__ = []

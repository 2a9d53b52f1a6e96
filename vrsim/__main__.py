"""``python -m vrsim`` is the command ``vrsim``; ``accelerate launch -m vrsim train grpo`` starts several of it."""

from vrsim.cli import main

__all__ = []

if __name__ == "__main__":
    main()

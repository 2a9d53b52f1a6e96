"""Memory and time of 1,000,000 selection episodes on a synthetic world of 1,000,000 users.

Run: python benchmarks/scale.py
The world is built by one process and measured in another, so that the peak is that of the reader.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

USERS, ITEMS, LENGTH = 1_000_000, 100_000, 20


def measure(folder: Path, protocol: str) -> dict[str, float | int]:
    """Open the world and make an episode, with its history, about every user."""
    import dataclasses

    from vrsim.episodes import make_episodes
    from vrsim.protocols import get_protocol
    from vrsim.world import World

    started = time.perf_counter()
    world = World.load(folder)
    opened = time.perf_counter()
    everyone = dataclasses.replace(get_protocol(protocol), test_share=1.0)
    episodes = make_episodes(world, everyone, "selection", m=3)
    made = time.perf_counter()
    histories = episodes.histories
    done = time.perf_counter()
    return {
        "episodes": len(episodes),
        "open_seconds": round(opened - started, 2),
        "episode_seconds": round(made - opened, 2),
        "history_seconds": round(done - made, 2),
        "history_shape": list(histories.shape),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2])))
        return
    from synthetic import build_synthetic

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "synthetic"
        build_synthetic(folder, USERS, ITEMS, LENGTH)
        for protocol in ("vragent-paper", "uniform"):
            done = subprocess.run(
                [sys.executable, __file__, str(folder), protocol], check=True, capture_output=True, text=True
            )
            print(protocol, done.stdout.strip())


if __name__ == "__main__":
    main()

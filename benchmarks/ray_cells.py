"""Two local Ray workers against one process: the same records, the time, and the same again while workers are killed.

Run: OMP_NUM_THREADS=1 python benchmarks/ray_cells.py
Plays two agents that keep a processor busy, boosted trees and the pocket model that reasons before it answers, on
MovieLens-100K: 24 cells. Every process has one thread.
"""

import hashlib
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vrsim.bench import BenchConfig, run_bench

AGENTS = ("learned", "us-agent:prompt=us-agent,max_tokens=64")
CONFIG = BenchConfig("ml-100k", AGENTS, ("uniform",), users=200)
KILLS = 10


def fingerprint(folder: Path) -> str:
    """SHA-256 of all records without the milliseconds."""
    sha = hashlib.sha256()
    for file in sorted((folder / "cells").iterdir()):
        sha.update(file.name.encode())
        for line in file.read_text(encoding="utf-8").splitlines():
            sha.update(json.dumps(json.loads(line) | {"ms": None}).encode())
    return sha.hexdigest()


def played(folder: Path, ray: str | None) -> tuple[float, str]:
    """Seconds of a run, and what it recorded."""
    started = time.perf_counter()
    run_bench(CONFIG, folder, ray=ray)
    return time.perf_counter() - started, fingerprint(folder)


def workers() -> dict[int, str]:
    """The worker processes of Ray of this one, the children of its children, by id: what they call themselves."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                parents[int(entry.name)] = int(_numbers(int(entry.name))[1])
    names = {}
    for pid, parent in parents.items():
        if parents.get(parent) == os.getpid():
            with suppress(OSError):
                names[pid] = Path(f"/proc/{pid}/cmdline").read_text()
    return {pid: name for pid, name in names.items() if name.startswith("ray::")}


def processor(pids: Iterable[int]) -> float:
    """Seconds of a core that processes have used."""
    return sum(sum(map(int, _numbers(pid)[11:13])) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _numbers(pid: int) -> list[str]:
    """What Linux tells of a process behind its name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def kill_some(every: float, killed: list[int], over: threading.Event) -> None:
    """Kill a random worker at random moments, ``every`` seconds on average, KILLS times."""
    rng = random.Random(0)
    while len(killed) < KILLS and not over.wait(rng.expovariate(1 / every)):
        if found := [pid for pid, name in workers().items() if name.startswith(tuple(f"ray::{a}" for a in AGENTS))]:
            killed.append(rng.choice(found))
            os.kill(killed[-1], signal.SIGKILL)


def main() -> None:
    import ray

    print(f"load before: {os.getloadavg()[0]:.2f}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        alone, expected = played(folder / "alone", None)
        before = time.process_time()
        print(f"one process: {alone:.1f} s, {before:.1f} s of a core, records {expected[:16]}", flush=True)
        started = time.perf_counter()
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        print(f"starting a cluster: {time.perf_counter() - started:.1f} s")
        spent, found = played(folder / "ray", "")
        used = processor(workers()), time.process_time() - before
        print(f"two workers: {spent:.1f} s, {alone / spent:.2f} times as fast, same records: {found == expected}")
        print(f"seconds of a core: {used[0]:.1f} of the workers, {used[1]:.1f} of the one who asks", flush=True)
        killed: list[int] = []
        over = threading.Event()
        killer = threading.Thread(target=kill_some, args=(spent / (KILLS + 2), killed, over))
        killer.start()
        spent, found = played(folder / "killed", "")
        over.set()
        killer.join()
        print(f"{len(killed)} workers killed: {spent:.1f} s, same records: {found == expected}")
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()

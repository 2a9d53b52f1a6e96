"""A report about 100,000 decisions: time to write it, its size, and how fast its filters answer in Chromium.

Run: python benchmarks/report.py [FOLDER]
Runs on synthetic worlds, in FOLDER or a temporary one: 20,000 selections by five agents, 100,000 selections by one,
100,000 judgments by one, 10,000 judgments by ten. The agents that speak say about 1,200 characters per decision.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from synthetic import build_synthetic

from vrsim.agent import Agent, Decisions, n_options
from vrsim.bench import BenchConfig, run_bench
from vrsim.registry import register_agent
from vrsim.report import write_report
from vrsim.runs import read_run

ITEMS, LENGTH, CHARACTERS = 20_000, 20, 1_200
SHAPES = {  # task and number of users, half of whom are asked: agents
    ("selection", 40_000): ("talker", "talker:skill=0.6", "constant", "popularity", "uniform"),
    ("selection", 200_000): ("talker",),
    ("judgment", 100_000): ("talker",),
    ("judgment", 10_000): tuple(f"talker:skill=0.{i}" for i in range(10)),
}
REPEATS = 5  # of each filter; the median counts
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FILTERS = {  # what is done to the page; each is one filter run
    "one agent wrong": 'set("agent", "0"); set("outcome", "wrong")',
    "agents disagree": 'document.getElementById("filter-disagree").click()',
    "rare text": 'set("query", "zzzz")',
    "text that all said": 'set("query", "a")',
    "a word": 'set("query", "w12 w7")',
}
SET = """(name, value) => {
  const field = document.getElementById(`filter-${name}`);
  field.value = value; field.dispatchEvent(new Event("input", { bubbles: true }));
}"""


class Talker(Agent):
    """Guess, with probabilities, and say a lot about it."""

    def __init__(self, skill: float = 0.4) -> None:
        self.skill = skill

    def reset(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def act(self, observations):
        size, places = len(observations["slate"]), n_options(observations)
        vocabulary = np.array([f"w{i}" for i in range(3000)])
        drawn = vocabulary[np.minimum(self.rng.zipf(1.3, (size, CHARACTERS // 4)) - 1, 2999)]
        words = [" ".join(row)[:CHARACTERS] for row in drawn]
        action = self.rng.integers(places, size=size)
        probability = self.rng.dirichlet(np.ones(places), size)
        probability = probability if observations["slate"].shape[1] > 1 else probability[:, 1:]
        return Decisions(action, self.rng.random(size) < 0.98, words, probability)


def filter_times(page: Path) -> dict[str, float]:
    """Milliseconds from the change of a filter to the new list, once the page has read the episodes."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("article", timeout=60_000)
        found = {"open the page": 1000 * (time.perf_counter() - started)}
        for name, action in FILTERS.items():
            before = "document.getElementById('reset').click(); performance.clearMeasures();"
            times = []
            for _ in range(REPEATS):
                tab.evaluate(f"() => {{ {before} const set = {SET}; {action}; }}")
                times.append(max(tab.evaluate("performance.getEntriesByName('filter').map((entry) => entry.duration)")))
            found[name] = statistics.median(times)
        browser.close()
    return {name: round(value, 1) for name, value in found.items()}


def main() -> None:
    register_agent("talker", f"{__name__}:Talker")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        for (task, users), agents in SHAPES.items():
            world, run = folder / f"world-{users}", folder / f"run-{users}"
            if not world.exists():
                build_synthetic(world, users, ITEMS, LENGTH)
            run_bench(BenchConfig(str(world), agents, ("uniform",), (task,), (3,), seeds=1), run)
            started = time.perf_counter()
            read_run(run)
            read = time.perf_counter() - started
            started, busy = time.perf_counter(), time.process_time()
            report = write_report([run], folder / f"report-{users}.html")
            facts = {
                "read_seconds": round(read, 1),  # a part of the next one
                "write_seconds": round(time.perf_counter() - started, 1),
                "of_which_cpu": round(time.process_time() - busy, 1),  # on a busy machine less than half of it
                "mb": round(report.page.stat().st_size / 1e6, 2),
            }
            told = {
                "task": task,
                "agents": len(agents),
                **facts,
                "notes": report.notes,
                "filter_ms": filter_times(report.page),
            }
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

"""Builds: whole or not at all, whatever stops them, and once however many want the same."""

import subprocess
import sys

import pytest

from vrsim.building import BuildConfig, build
from vrsim.errors import WorldError
from vrsim.world import World

CONFIG = BuildConfig(recommender="transitions")


def folders(parent):
    """Names of all folders in ``parent``, hidden ones too; what locks leave behind is no folder."""
    return sorted(path.name for path in parent.iterdir() if path.is_dir())


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt, ConnectionError])
def test_an_exception_in_the_middle_of_a_build_comes_through_and_leaves_no_folder(tmp_path, data, error, failing):
    with pytest.raises(error, match="in the middle"):
        build(tmp_path / "mine", data, CONFIG, recommender=failing(error("in the middle")))
    assert folders(tmp_path) == []


BUILD = """
import resource, sys, time
from pathlib import Path
from vrsim.errors import WorldError
from vrsim.recommender import ItemTransitions
from vrsim.tiny import tiny_data
from vrsim.building import BuildConfig, build

folder, data, config = Path(sys.argv[1]), tiny_data(), BuildConfig(recommender="transitions")
own = ItemTransitions(data.interactions, data.catalog.n_items, 1)

def hang():
    print("ready", flush=True)
    time.sleep(60)
"""

WHILE_SCORING = """
class Slow:
    def score(self, users, histories):
        hang()

build(folder, data, config, recommender=Slow())
"""

WHILE_WRITING = """
import numpy

save = numpy.save

def save_some(path, *arguments, **options):
    save(path, *arguments, **options)
    if path.name == "items.npy":
        hang()

numpy.save = save_some
build(folder, data, config)
"""


def start(script, *arguments):
    """A process of its own that runs BUILD and then ``script``."""
    command = [sys.executable, "-B", "-c", BUILD + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_when_ready(script, folder):
    process = start(script, folder)
    try:
        line = process.stdout.readline()
    finally:
        process.kill()
        _, errors = process.communicate()
    assert line == "ready\n", errors


@pytest.mark.parametrize("script", [WHILE_SCORING, WHILE_WRITING], ids=["scoring", "writing"])
def test_a_killed_build_leaves_nothing_that_loads_and_the_next_one_cleans_up(tmp_path, data, script):
    folder = tmp_path / "mine"
    kill_when_ready(script, folder)
    assert not folder.exists()
    for name in folders(tmp_path):
        with pytest.raises(WorldError, match="not a finished world"):
            World.load(tmp_path / name)
    if script is WHILE_WRITING:
        assert list(tmp_path.glob(".*/items.npy")), (
            "half a world was left behind, so that there is something to clean up"
        )

    build(folder, data, CONFIG)
    assert folders(tmp_path) == ["mine"]


@pytest.mark.parametrize("name", ["mine", "mine[1]"])
def test_a_build_removes_its_own_leftovers_and_no_others(tmp_path, data, name):
    for leftover in (f".{name}.building-x1", f".other-{name}.building-x2"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "items.npy").touch()
    build(tmp_path / name, data, CONFIG)
    assert folders(tmp_path) == sorted([name, f".other-{name}.building-x2"])


FULL_DISK = """
for room in (1_000, 20_000, 50_000):  # the first array, another one, the largest one does not fit
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))  # writing on raises OSError
    try:
        build(folder, data, config)
    except WorldError as error:
        print(error)
"""


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, data):
    folder = tmp_path / "mine"
    process = start(FULL_DISK, folder)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert len(lines) == 3, output
    for line in lines:
        assert line.startswith(f"{folder} could not be written")
        assert "make room and try again" in line
    assert folders(tmp_path) == []
    assert build(folder, data, CONFIG).path == folder


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, data):
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match="could not be written"):
        build(tmp_path / "file" / "mine", data, CONFIG)


# Several processes


TOGETHER = """
class Watched:
    def score(self, users, histories):
        with log.open("a") as file:
            file.write("scored\\n")
        deadline = time.monotonic() + 20
        while len(list(folder.parent.glob("started-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # the other one is now waiting for the lock
        return own.score(users, histories)

log = folder.parent / "scored.txt"
(folder.parent / f"started-{sys.argv[2]}").touch()
print(build(folder, data, config, recommender=Watched(), exist_ok=True).hash)
"""


def test_two_processes_that_want_the_same_world_build_it_once(tmp_path):
    processes = [start(TOGETHER, tmp_path / "mine", number) for number in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    world_hash = World.load(tmp_path / "mine").hash
    assert [output for output, _ in outputs] == [f"{world_hash}\n"] * 2
    assert (tmp_path / "scored.txt").read_text() == "scored\n"
    assert folders(tmp_path) == ["mine"]

"""``vrsim caption``: what it says and writes, what it refuses, and what is left of it when it is ended."""

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from tests.captioned import describing, make_folder
from tests.chat_server import ChatServer, Reply

pytest.importorskip("av", reason="PyAV is not installed")

ITEMS = 80  # of the runs that are killed: more than are prepared at once in the beginning
CALLS = 4  # at the same time


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("command") / "videos")


def command(folder, url, *more):
    return (
        "caption", folder, "--titles", folder / "items.csv", "--model", "openai:m", "--option", f"base_url={url}",
        "--option", "key=", "--option", "store=answers.sqlite", "--option", f"concurrency={CALLS}", *more,
    )  # fmt: skip


UNIFORM = ("--choose", "uniform", "--frames", 8, "--keep", 3)


def test_the_command_writes_captions_and_a_sheet_and_counts_what_was_odd(vrsim_command, folder):
    with ChatServer(describing) as server:
        code, out, _ = vrsim_command(*command(folder, server.url, *UNIFORM, "--report", "new/sheet.html"))
        assert code == 0
        assert "5 items, 2 of them without frames" in out
        assert "5 captions of" in out
        assert "the file cannot be read as a video 1, there is no video 1" in out
        assert "10 calls, 70 tokens read, 50 written" in out
        with open("new/sheet.html", encoding="utf-8") as page:
            assert page.read().count("<figure class=chosen>") == 9
        code, out, _ = vrsim_command(*command(folder, server.url, *UNIFORM, "--json"))
        told = json.loads(out)
        assert (code, told["audit"]["items"], told["usage"]["calls"]) == (0, 5, 10)
    assert pq.read_table("captions.parquet").column("item_id").to_pylist() == list("abcde")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--choose", "uniform", "--clip", "ViT-B-32"), "--choose uniform leaves it out"),
        (("--choose", "unifrom"), "Did you mean 'uniform'"),
        (("--choose", "cover"), "has no cover of any of the 5 items"),
        (("--clip", "ViT-B-33"), "Did you mean 'ViT-B-32'"),
        (("--clip", "ViT-B-32:laion2b_s34b_b79"), "Did you mean 'laion2b_s34b_b79k'"),
        (("--clip", ":"), "hf-hub:NAME"),
        (("--clip", "."), "open_clip_config.json"),
        ((*UNIFORM, "--until", "choice", "--report", "x.html"), "--until stops before them"),
        ((*UNIFORM, "--until", "choice", "--redo", "caption"), "stops after choice"),
        ((*UNIFORM, "--until", "chioce"), "Did you mean 'choice'"),
        ((*UNIFORM, "--report", "."), "is a folder"),
        ((*UNIFORM, "--report", "x.html", "--shown", 0), "--shown must be"),
        ((*UNIFORM, "--out", "captions.csv"), "expected a name like captions.parquet"),
        ((*UNIFORM, "--decoders", 0), "decoders must be"),
        ((*UNIFORM, "--limit", 0), "limit must be"),
        ((*UNIFORM, "--limit-s", "nan"), "limit_s must be"),
        ((*UNIFORM, "--budget", 1), "the price of openai:m is not known"),
        ((*UNIFORM, "--option", "temprature=1"), "Did you mean 'temperature'"),
        ((*UNIFORM, "--titles", "nowhere.csv"), "no such file"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_meant_is_refused_before_the_model_is_asked(vrsim_command, folder, options, said):
    if "--clip" in options:
        pytest.importorskip("open_clip", reason="open_clip is not installed")
    with ChatServer(describing) as server:
        code, out, err = vrsim_command(*command(folder, server.url, *options))
        assert server.requests == []
    assert (code, out) == (1, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert not os.path.exists("captions.parquet")


def test_a_table_of_somebody_else_is_not_replaced(vrsim_command, folder):
    with ChatServer(describing) as server:
        with open("captions.parquet", "w", encoding="utf-8") as file:
            file.write("mine")
        code, _, err = vrsim_command(*command(folder, server.url, *UNIFORM))
        assert server.requests == []
    assert code == 1
    assert "will not be replaced" in err
    with open("captions.parquet", encoding="utf-8") as file:
        assert file.read() == "mine"


# Ended from outside


@pytest.fixture
def covers(tmp_path):
    """A folder in which all items share a cover: quick to prepare, and each one is another question."""
    from PIL import Image

    (tmp_path / "covers").mkdir()
    Image.new("RGB", (40, 30), (0, 120, 0)).save(tmp_path / "covers" / "c.jpg")
    rows = [f"i{place},title {place},c.jpg" for place in range(ITEMS)]
    (tmp_path / "covers" / "items.csv").write_text("\n".join(["item_id,title,cover", *rows]) + "\n")
    return tmp_path / "covers"


@pytest.fixture
def server():
    with ChatServer(lambda request, before: Reply(describing(request, before).text, delay=0.05)) as server:
        yield server


@pytest.fixture
def started(covers, server, tmp_path):
    """Start the command in a process and a folder of its own."""
    running = []

    def start(name):
        (tmp_path / name).mkdir(exist_ok=True)
        words = map(str, command(covers, server.url, "--choose", "cover"))
        process = subprocess.Popen(
            [sys.executable, "-m", "vrsim", *words], cwd=tmp_path / name, text=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(process, server, calls):
    """Come back as soon as so many questions were asked."""
    until = time.monotonic() + 60
    while len(server.requests) < calls:
        assert process.poll() is None, "the run ended before it came that far"
        assert time.monotonic() < until, "the run never came that far"
        time.sleep(0.005)


def finish(process):
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_a_run_that_is_killed_twice_asks_nothing_answered_again_and_writes_the_same_bytes(started, server, tmp_path):
    for calls in (ITEMS // 2, 3 * ITEMS // 2):  # in the perceptions of the first items, and behind them
        process = started("killed")
        wait_for(process, server, calls)
        process.kill()
        process.communicate()
        assert not (tmp_path / "killed" / "captions.parquet").exists()
    finish(started("killed"))
    assert len(server.counts) == 2 * ITEMS
    assert len(server.requests) - 2 * ITEMS <= 2 * CALLS  # those under way when it was killed
    server.requests.clear()
    finish(started("whole"))
    assert len(server.requests) == 2 * ITEMS
    killed, whole = ((tmp_path / name / "captions.parquet").read_bytes() for name in ("killed", "whole"))
    assert killed == whole


def test_an_interrupted_run_ends_soon_and_goes_on(started, server, tmp_path):
    process = started("run")
    wait_for(process, server, ITEMS // 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command goes on" in " ".join(errors.split())
    assert "Traceback" not in errors
    finish(started("run"))
    assert len(server.requests) - 2 * ITEMS <= CALLS
    assert pq.read_table(tmp_path / "run" / "captions.parquet").num_rows == ITEMS


def test_a_second_run_is_refused_while_the_first_one_lives(started, server):
    first = started("run")
    wait_for(first, server, 1)
    first.send_signal(signal.SIGSTOP)  # or it might be over before the second one looks
    second = started("run")
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "in use by another run" in " ".join(errors.split())
    first.send_signal(signal.SIGCONT)
    finish(first)

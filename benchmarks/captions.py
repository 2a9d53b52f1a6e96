"""Captions of 1,000 short clips by a server that answers after 100 ms, 32 at once: beside the ideal, and killed twice.

Run: python benchmarks/captions.py [items]
Two questions an item, so the ideal is items * 2 * 0.1 s / 32. The server is tests/chat_server.py in a process of its
own. The table of a second run, killed twice by SIGKILL, is compared byte by byte with the first one's, and the server's
counts say whether anything was asked twice.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import numpy as np

DELAY, AT_ONCE = 0.1, 32
ROOT = Path(__file__).parents[1]
SERVER = ROOT / "tests" / "chat_server.py"


@contextmanager
def running():
    command = [sys.executable, str(SERVER), "--delay", str(DELAY)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def make_videos(folder: Path, items: int) -> None:
    """Clips of one second, each of another colour."""
    import av

    folder.mkdir()
    rng = np.random.default_rng(0)
    for item in range(items):
        with av.open(str(folder / f"{item}.mp4"), "w") as target:
            stream = target.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            picture = np.full((96, 160, 3), rng.integers(0, 256, 3), np.uint8)
            for at in range(24):
                picture[:, at * 6 : at * 6 + 6] = 255 - picture[:, at * 6 : at * 6 + 6]
                target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            target.mux(stream.encode())
    rows = [f"{item},Clip number {item}" for item in range(items)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *rows]) + "\n")


def command(folder: Path, url: str, out: Path, until: str = "caption") -> list[str]:
    model = ["--model", "openai:m", "--option", f"base_url={url}", "--option", f"concurrency={AT_ONCE}"]
    model += ["--option", "key=", "--option", f"store={out.parent / f'{out.stem}.sqlite'}"]
    given = ["--titles", str(folder / "items.csv"), "--out", str(out), "--choose", "uniform", "--until", until, *model]
    return [sys.executable, "-m", "vrsim", "caption", str(folder), *given, "--json"]


def timed(*call: str) -> float:
    started = time.perf_counter()
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - started


def killed(call: list[str], seconds: float) -> None:
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    time.sleep(seconds)
    if process.poll() is not None:
        raise SystemExit("the run was over before it could be killed: take more items")
    process.kill()
    process.wait()


def main(items: int) -> None:
    with tempfile.TemporaryDirectory() as name, running() as url:
        root = Path(name)
        make_videos(root / "videos", items)
        first, second, late = (root / f"{run}.parquet" for run in ("first", "second", "late"))
        frames = timed(*command(root / "videos", url, late, "choice"))
        start = timed(*command(root / "videos", url, late, "choice"))  # all is there: the start alone
        seconds, ideal = timed(*command(root / "videos", url, first)) - start, items * 2 * DELAY / AT_ONCE
        print(
            f"{items:,} items: {seconds:.1f} s after {start:.1f} s to start; ideal {ideal:.1f} s: {ideal / seconds:.1%}"
        )
        print(f"the frames alone: {frames - start:.1f} s")
        later = timed(*command(root / "videos", url, late)) - start
        print(f"with key frames that are there: {later:.1f} s, {ideal / later:.1%} of the ideal")
        before = asked(url)
        calls = command(root / "videos", url, second)
        for part in (0.35, 0.35):
            killed(calls, start + part * seconds)
        timed(*calls)
        same = first.read_bytes() == second.read_bytes()
        print(f"killed twice: {asked(url) - before:,} calls for {2 * items:,} questions; same bytes: {same}")
        print(f"its stages: {(root / 'second.parquet.stages' / 'stages.sqlite').stat().st_size / 1e6:.0f} MB")


def asked(url: str) -> int:
    with urlopen(f"{url.removesuffix('/v1')}/counts") as reply:
        return sum(json.load(reply).values())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)

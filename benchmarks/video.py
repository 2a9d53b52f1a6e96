"""Frames of videos: how long sampling 16 of them takes beside decoding everything, and how much memory.

Run: VRSIM_DATA=... python benchmarks/video.py frames
For each clip of VRSIM_DATA, and a clip of 10 minutes made here with a key frame every 5 s: the time of sample_frames
over that of decoding everything with the same threads, as the median of paired rounds taken in turn in one process.
Then the peak memory (Linux) of a fresh process that samples clips of 1, 10 and 60 minutes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from vrsim.perception.frames import sample_frames

COUNT = 16
ROUNDS = 7
RATE, GROUP = 30, 150  # frames a second, frames between key frames
PEAK = """
import re, sys
from vrsim.perception.frames import sample_frames
sample_frames(sys.argv[1], int(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""  # ru_maxrss would be the parent's, where that is larger


def main() -> None:
    if sys.argv[1:] != ["frames"]:
        sys.exit("expected: python benchmarks/video.py frames")
    frames()


def frames() -> None:
    root = Path(os.environ["VRSIM_DATA"]) if "VRSIM_DATA" in os.environ else None
    folders = (root / "videos", root / "microlens" / "sample_media") if root else ()
    for clip in sorted(file for folder in folders for file in folder.iterdir() if file.suffix in (".mp4", ".webm")):
        tell(clip, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        for minutes in (1, 10, 60):
            clip = make(Path(folder) / f"{minutes} minutes.mp4", minutes)
            if minutes == 10:
                tell(clip, 3)
            done = subprocess.run([sys.executable, "-c", PEAK, str(clip), str(COUNT)], check=True, capture_output=True)
            print(f"{clip.name:24} peak memory {float(done.stdout):.0f} MB")


def tell(clip: Path, rounds: int) -> None:
    """Print how long a clip takes, both ways."""
    ours, everything = [], []
    for _ in range(rounds + 1):  # the first one warms up
        for taken, work in ((everything, decode_everything), (ours, lambda clip: sample_frames(clip, COUNT))):
            started = time.perf_counter()
            work(clip)
            taken.append(time.perf_counter() - started)
    ratio = statistics.median(a / b for a, b in zip(ours[1:], everything[1:], strict=True))
    print(f"{clip.name:24} sampling {statistics.median(ours[1:]):.3f} s, decoding everything "
          f"{statistics.median(everything[1:]):.3f} s; ratio {ratio:.2f}, {1 / ratio:.1f} times as fast")  # fmt: skip


def decode_everything(clip: Path) -> int:
    """The number of frames."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def make(path: Path, minutes: int) -> Path:
    """A clip of 640 x 360 with moving bars: 10 s that are encoded once and then repeated."""
    first = path.with_name("10 s.mp4")
    if not first.exists():
        encode(first)
    with av.open(str(first)) as source, av.open(str(path), "w") as target:
        given = source.streams.video[0]
        stream = target.add_stream_from_template(given)
        packets = [packet for packet in source.demux(given) if packet.size]
        for turn in range(minutes * 6):
            shift = turn * round(10 / given.time_base)
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.duration = packet.pts + shift, packet.dts + shift, packet.duration
                copy.time_base, copy.is_keyframe, copy.stream = given.time_base, packet.is_keyframe, stream
                target.mux(copy)
    return path


def encode(path: Path) -> None:
    columns = np.arange(640)
    noise = np.random.default_rng(0).integers(0, 40, (360, 640, 3), np.uint8)
    with av.open(str(path), "w") as target:
        stream = target.add_stream(
            "libx264", rate=RATE, options={"preset": "veryfast", "g": str(GROUP), "sc_threshold": "0"}
        )
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for i in range(10 * RATE):
            bars = (100 * (1 + np.sin((columns + 7 * i) / 40))).astype(np.uint8)
            picture = noise + np.broadcast_to(bars[None, :, None], noise.shape)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        target.mux(stream.encode(None))


if __name__ == "__main__":
    main()

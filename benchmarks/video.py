"""Frames of videos: how long sampling 16 of them takes beside decoding everything, and how much memory; and all stages.

Run: VRSIM_DATA=... python benchmarks/video.py frames | stages [smolvlm-256m | qwen2.5-vl-7b]
``frames``: for each clip of VRSIM_DATA, and a clip of 10 minutes made here with a key frame every 5 s, the time of
sample_frames over that of decoding everything with the same threads, as the median of paired rounds taken in turn in
one process. Then the peak memory (Linux) of a fresh process that samples clips of 1, 10 and 60 minutes.
``stages``: each stage of captioning the clips of VRSIM_DATA, one after the other, with models of published shapes and
random weights, which take the same time: ViT-B-32 of open_clip, and the named model.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from vrsim.perception.frames import sample_frames
from vrsim.perception.stages import STAGES
from vrsim.perception.steps import Row

COUNT = 16
ROUNDS = 7
RATE, GROUP = 30, 150  # frames a second, frames between key frames
WRITTEN = 128, 50  # tokens of a perception and of a caption
EXPLAINED = "A person in a red coat walks along a quiet street, shows what they bought, and laughs with a friend. " * 6
SHAPES = {
    "smolvlm-256m": {
        "text_config": {
            "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
            "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49280, "max_position_embeddings": 8192,
        },
        "vision_config": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "image_size": 512, "patch_size": 16,
        },
        "scale_factor": 4,
        "processor": {"image_seq_len": 64},
        "images": {
            "size": {"longest_edge": 512}, "max_image_size": {"longest_edge": 512}, "do_image_splitting": False,
        },
    },
    "qwen2.5-vl-7b": {
        "text_config": {
            "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
            "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24]},
        },
        "vision_config": {
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
            "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112,
        },
        "processor": {},
        "images": {"size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16384}},
    },
}  # fmt: skip
PEAK = """
import re, sys
from vrsim.perception.frames import sample_frames
sample_frames(sys.argv[1], int(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""  # ru_maxrss would be the parent's, where that is larger


def main() -> None:
    match sys.argv[1:]:
        case ["frames"]:
            frames()
        case ["stages", *kind] if len(kind) < 2 and {*kind} <= {*SHAPES}:
            stages(*kind)
        case _:
            sys.exit(f"expected: python benchmarks/video.py frames, or stages and one of {', '.join(SHAPES)}")


def clips_of_data() -> list[Path]:
    root = Path(os.environ["VRSIM_DATA"]) if "VRSIM_DATA" in os.environ else None
    folders = (root / "videos", root / "microlens" / "sample_media") if root else ()
    files = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
    return sorted(file for file in files if file.suffix in (".mp4", ".webm"))


def frames() -> None:
    for clip in clips_of_data():
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


def stages(kind: str = "smolvlm-256m") -> None:
    """Print what each stage takes of the wall clock, and how many frames or tokens a second it does."""
    from vrsim.models.local import LocalConfig, LocalModel
    from vrsim.models.model import Sampling
    from vrsim.perception.clip import ClipConfig, OpenClip
    from vrsim.perception.config import CaptionConfig
    from vrsim.perception.describe import DescribeConfig, Perception, Video, caption, perceive
    from vrsim.perception.items import Item
    from vrsim.perception.steps import add_choices, add_frames

    clips, asking = clips_of_data(), DescribeConfig()
    if not clips:
        sys.exit("there are no clips: set VRSIM_DATA to a folder with videos/ or microlens/sample_media/ in it")
    rows = [Row(Item(clip.name, clip.stem, clip), dict.fromkeys(STAGES)) for clip in clips]
    with tempfile.TemporaryDirectory() as folder:
        model = LocalModel(LocalConfig(str(save(kind, Path(folder) / kind))))
        scorer = OpenClip(ClipConfig("ViT-B-32", str(save_clip(Path(folder) / "clip.pt"))))
    took = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        done = work()
        took[name] = time.perf_counter() - started
        return done

    config = CaptionConfig()
    scorer.score([[np.zeros((448, 448, 3), np.uint8)]], ["warm"])
    timed("frames", lambda: add_frames(config, rows))
    timed("choice", lambda: add_choices(config, scorer, rows))
    videos = [Video(row.item.title, tuple(row.jpegs[at] for at in row.outputs["choice"]["places"])) for row in rows]
    asked = [next(perceive(video, asking))[0] for video in videos]
    model.generate(asked[:1], Sampling(max_tokens=2))
    seen = timed("perception", lambda: model.generate(asked, Sampling(max_tokens=WRITTEN[0])))
    asked = [next(caption(Perception(video.title, EXPLAINED), asking))[0] for video in videos]
    said = timed("caption", lambda: model.generate(asked, Sampling(max_tokens=WRITTEN[1])))
    n, whole = len(clips), sum(took.values())
    frames = sum(len(row.outputs["frames"]["times"]) for row in rows)
    told = {"frames": f"{frames / took['frames']:.1f} frames a second", "choice": f"{frames / took['choice']:.1f}"}
    for name, found in (("perception", seen), ("caption", said)):
        read, written = (sum(getattr(c, f"{part}_tokens") for c in found) for part in ("prompt", "completion"))
        told[name] = f"{read / n:.0f} tokens read, {written / n:.0f} written, {written / took[name]:.1f} a second"
    for name, seconds in took.items():
        print(f"{name:12} {seconds / n:7.2f} s a clip {seconds / whole:6.1%}  {told[name]}")


def save(kind: str, folder: Path) -> Path:
    """A model of a published shape with random weights, and its processor around a small tokenizer."""
    import torch
    from transformers import AutoModelForImageTextToText, Idefics3Config, Qwen2_5_VLConfig

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.tiny_vision import save_seeing_model

    made, shape = ("idefics3", Idefics3Config) if kind.startswith("smol") else ("qwen2_5_vl", Qwen2_5_VLConfig)
    save_seeing_model(made, folder)
    changed = dict(SHAPES[kind])
    file = folder / "processor_config.json"
    processor = json.loads(file.read_text()) | changed.pop("processor")
    processor["image_processor"] |= changed.pop("images")
    file.write_text(json.dumps(processor))
    small = json.loads((folder / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        changed[part] = small[part] | {"initializer_range": 0.02} | changed[part]
        changed[part].pop("layer_types", None)
    config = shape(**{**small, **changed})
    gpu = torch.cuda.is_available()
    with torch.device("cuda" if gpu else "cpu"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16 if gpu else torch.float32)
    print(f"{kind}: {sum(weight.numel() for weight in model.parameters()) / 1e6:,.0f} million parameters")
    model.generation_config.eos_token_id = None  # all tokens are written
    model.save_pretrained(folder)
    return folder


def save_clip(file: Path) -> Path:
    import open_clip
    import torch

    torch.save(open_clip.create_model("ViT-B-32").state_dict(), file)
    return file


if __name__ == "__main__":
    main()

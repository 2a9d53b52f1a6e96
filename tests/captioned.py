"""Folders of small clips and the server that describes them: what the tests of captioning share."""

import re
from io import BytesIO
from pathlib import Path

from tests.chat_server import Reply, prompt_of
from tests.clips import make_clip, numbered
from vrsim.perception.captioning import CaptionRun
from vrsim.perception.config import CaptionConfig
from vrsim.perception.describe import DescribeConfig

TITLES = {"a": "A red bar", "b": "Bars at night", "c": "", "d": "The broken one", "e": "Not there"}


def make_folder(folder: Path) -> Path:
    """A folder with three clips, a broken file and a table; of the last item there is no video."""
    folder.mkdir()
    for place, item in enumerate("abc"):
        make_clip(folder / f"{item}.mp4", numbered(24 + 8 * place))
    (folder / "d.mp4").write_bytes(b"this is no video")
    rows = [f'{item},"{title}"' for item, title in TITLES.items()]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *rows]) + "\n")
    return folder


def images_of(request: dict) -> int:
    content = request["messages"][-1]["content"]
    return sum(part["type"] == "image_url" for part in content) if isinstance(content, list) else 0


def describing(request: dict, before: int) -> Reply:
    """Describes what it is shown, and rewrites that."""
    words = prompt_of(request)
    title = re.search(r"title: (.*)", words)
    title = title.group(1) if title else "nothing"
    if "caption for a recommender" in words:
        return Reply(f"Something about {title} for quiet evenings.")
    return Reply(f"It shows {title} in {images_of(request)} frames.")


def run_of(folder: Path, url: str, out: Path, **config) -> CaptionRun:
    describe = DescribeConfig(**{name: config.pop(name) for name in ("cmp", "rra", "limit") if name in config})
    options = {"base_url": url, "key": "", "store": str(out.parent / "answers.sqlite"), "backoff": 0.01}
    given = {"frames": 8, "keep": 3, "choose": "uniform", "describe": describe} | config
    return CaptionRun(folder, folder / "items.csv", out, CaptionConfig(**given), "openai:m", options)


def jpeg() -> bytes:
    """A red picture, as a file."""
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (400, 300), (200, 0, 0)).save(file, "JPEG")
    return file.getvalue()

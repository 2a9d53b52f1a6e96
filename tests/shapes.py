"""A small open_clip model that has learned what a few shapes are called, and pictures of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["SHAPES", "draw_clip", "draw_shape", "noise", "train_clip"]

SHAPES = ("circle", "square", "triangle", "cross", "ring", "bars")
SIDE = 32  # pixels
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def noise(rng: np.random.Generator) -> np.ndarray:
    """A picture of nothing, uint8 (SIDE, SIDE, 3)."""
    return (rng.integers(0, 200, 3) + rng.integers(0, 56, (SIDE, SIDE, 1))).astype(np.uint8)


def draw_shape(name: str, rng: np.random.Generator) -> np.ndarray:
    """A shape of any colour somewhere on noise, uint8 (SIDE, SIDE, 3)."""
    background = noise(rng)
    image = Image.fromarray(background)
    draw = ImageDraw.Draw(image)
    while True:
        colour = tuple(rng.integers(0, 256, 3).tolist())
        if np.abs(np.array(colour) - background.mean((0, 1))).sum() > 180:
            break
    size = int(rng.integers(14, 22))
    x, y = rng.integers(1, SIDE - size - 1, 2).tolist()
    right, low, third = x + size, y + size, size // 3
    if name == "circle":
        draw.ellipse((x, y, right, low), fill=colour)
    elif name == "square":
        draw.rectangle((x, y, right, low), fill=colour)
    elif name == "triangle":
        draw.polygon([(x, low), (right, low), (x + size // 2, y)], fill=colour)
    elif name == "cross":
        draw.rectangle((x + third, y, right - third, low), fill=colour)
        draw.rectangle((x, y + third, right, low - third), fill=colour)
    elif name == "ring":
        draw.ellipse((x, y, right, low), outline=colour, width=3)
    elif name == "bars":
        for left in (x, x + 2 * third):
            draw.rectangle((left, y, left + third, low), fill=colour)
    return np.asarray(image)


def draw_clip(
    name: str, rng: np.random.Generator, count: int = 40, shown: int = 5
) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures of which ``shown`` show a shape, the others another one or nothing; and their places, rising."""
    places = np.sort(rng.permutation(count)[:shown])
    others = [shape for shape in SHAPES if shape != name]
    pictures = [
        draw_shape(name, rng)
        if i in places
        else draw_shape(str(rng.choice(others)), rng)
        if rng.random() < 0.6
        else noise(rng)
        for i in range(count)
    ]
    return pictures, places


def train_clip(folder: Path, steps: int = 400) -> Path:
    """Train a model by CLIP's own loss, with pictures of nothing that no name fits; a folder that open_clip loads."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = open_clip.CLIP(**CONFIG)
    model.token_embedding.requires_grad_(False)  # six words are told apart as they are
    words = open_clip.get_tokenizer("ViT-B-32", context_length=8)(list(SHAPES))
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1)
        for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    weights = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
    turn = torch.optim.lr_scheduler.OneCycleLR(weights, 3e-3, total_steps=steps)
    each, empty = 12, 20  # pictures of every name, and of nothing, in a step
    target = torch.arange(len(SHAPES)).repeat_interleave(each)
    for _ in range(steps):
        drawn = [draw_shape(name, rng) for name in SHAPES for _ in range(each)] + [noise(rng) for _ in range(empty)]
        images = (torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2) / 255 - mean) / std
        pictures, names, scale = model(images, words)[:3]
        logits = scale * pictures @ names.T
        own = torch.zeros(len(drawn), len(SHAPES), dtype=bool)
        own[torch.arange(len(target)), target] = True
        by_name = torch.logsumexp(logits, 0) - torch.logsumexp(logits.masked_fill(~own, -torch.inf), 0)
        loss = torch.nn.functional.cross_entropy(logits[: len(target)], target) + by_name.mean()
        weights.zero_grad()
        loss.backward()
        weights.step()
        turn.step()
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder

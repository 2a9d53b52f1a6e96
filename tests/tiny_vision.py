"""Tiny real models that see, made from configs with processors of their own, and images drawn for them."""

import io
from pathlib import Path

from tests.small_models import SIZE, make_tokenizer

SEEING = ("qwen2_5_vl", "idefics3", "llava")
TEMPLATES = {
    "qwen2_5_vl": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == 'image' %}"
        "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "idefics3": (
        "{% for m in messages %}{{ m.role | capitalize }}:{% for part in m.content %}{% if part.type == 'image' %}"
        "<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>\n"
        "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
    ),
    "llava": (
        "{% for m in messages %}{{ m.role | upper }}: {% for part in m.content %}{% if part.type == 'image' %}"
        "<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %} "
        "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    ),
}
MARKS = {
    "qwen2_5_vl": ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"],
    "idefics3": ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"],
    "llava": ["<image>", "<pad>"],
}
TEXT = SIZE | {"max_position_embeddings": 1024, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


def picture(color: str, width: int = 56, height: int = 56, kind: str = "PNG") -> bytes:
    """A file of one color with a black bar."""
    from PIL import Image

    image = Image.new("RGB", (width, height), color)
    image.paste("black", (4, 4, width // 2, height // 3))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def save_seeing_model(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a tiny model that sees, and its processor, as transformers does."""
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    tokenizer = make_tokenizer("llama" if kind == "llava" else "qwen2")  # llava's puts a BOS token in front
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS[kind]})
    if kind == "llava":
        tokenizer.pad_token = "<pad>"
    marks = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in MARKS[kind]}
    config, processor = _PARTS[kind](tokenizer, marks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    if bar:
        logging.enable_progress_bar()
    processor.save_pretrained(folder)
    return folder


def _qwen(tokenizer, marks):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    text = TEXT | {
        "vocab_size": len(tokenizer),
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
    }
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
        "fullatt_block_indexes": [1], "window_size": 56, "initializer_range": 0.3,
    }  # fmt: skip
    ids = {
        "image_token_id": marks["<|image_pad|>"],
        "video_token_id": marks["<|video_pad|>"],
        "vision_start_token_id": marks["<|vision_start|>"],
        "vision_end_token_id": marks["<|vision_end|>"],
    }
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=pixels), tokenizer, Qwen2VLVideoProcessor(), chat_template=TEMPLATES["qwen2_5_vl"]
    )
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids), processor


def _idefics(tokenizer, marks):
    from transformers import Idefics3Config, Idefics3ImageProcessor, Idefics3Processor

    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8, "initializer_range": 0.3,
    }  # fmt: skip
    text = TEXT | {"model_type": "llama", "vocab_size": len(tokenizer)}
    images = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=TEMPLATES["idefics3"])
    image = marks["<image>"]
    return Idefics3Config(text_config=text, vision_config=vision, image_token_id=image, scale_factor=2), processor


def _llava(tokenizer, marks):
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaProcessor

    vision = {
        "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 8, "projection_dim": 32, "initializer_factor": 5.0,
    }  # fmt: skip
    text = TEXT | {"model_type": "llama", "vocab_size": len(tokenizer)}
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATES["llava"],
    )  # fmt: skip
    return LlavaConfig(text_config=text, vision_config=vision, image_token_id=marks["<image>"]), processor


_PARTS = {"qwen2_5_vl": _qwen, "idefics3": _idefics, "llava": _llava}

"""Recommenders that read what is known of the items, and MicroLens's way to train: names and settings, no torch.

``SASRecText`` is SASRec with vectors of the items' words in place of the vectors that belong to their ids, or
added to them; ``GRU4RecVideo`` is GRU4Rec with vectors of videos, and so on. ``MMGCN`` walks the graph of users
and items once for each feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vrsim.errors import OptionError, UnknownNameError
from vrsim.item_tables import table_key

__all__ = [
    "MMGCN",
    "PRESETS",
    "VARIANTS",
    "WINDOWED",
    "WINDOW_OPTIONS",
    "Variant",
    "check_own",
    "preset_options",
    "variant_of",
]

WINDOWED = ("SASRec", "GRU4Rec", "NextItNet")  # trained on all positions of a window at once
MMGCN = "MMGCN"
KINDS = {"Text": "text", "Image": "image", "Video": "video", "Fused": "text+image+video"}
# ``features``: names joined by "+", "text" or a column of the table ``vectors`` (a parquet file, see
# vrsim.item_tables.read_vectors). ``encoder``: of the text, see vrsim.features.text_features. ``ids``: whether the
# item's own learned vector is added. ``layers``: 1 = a linear projection, 2 = with a hidden layer.
FEATURES: dict[str, Any] = {"features": "text", "encoder": "tfidf", "vectors": ""}
PROJECTED = FEATURES | {"ids": True, "layers": 1}
# ``softmax``: over the "full" catalog, or over the items of the batch ("in-batch"). ``last``: interactions kept of
# each user, those held out for validation and test included, 0 = all. ``shortest``: smallest length of a user.
WINDOW_OPTIONS: dict[str, Any] = {"preset": "recbole", "softmax": "full", "last": 0, "shortest": 0}


@dataclass(frozen=True)
class Variant:
    """A recommender that reads features of the items."""

    base: str  # the model of RecBole whose settings it has; "" = none
    options: Mapping[str, Any]  # vrsim's own, with their usual values


VARIANTS: dict[str, Variant] = {
    f"{base}{kind}": Variant(base, PROJECTED | {"features": features})
    for base in WINDOWED
    for kind, features in KINDS.items()
}
VARIANTS[MMGCN] = Variant("", FEATURES | {"embedding_size": 64, "n_layers": 2, "reg_weight": 1e-3})


def variant_of(model: str) -> Variant:
    """What a model is made of; a model of RecBole is its own base, without options."""
    return VARIANTS.get(model, Variant(model, {}))


# MicroLens (Ni et al., arXiv:2309.15379). From the paper: the last 13 interactions of users with 5 or more, 10 of
# them as input, leave-one-out, Hit@10 on the validation items chooses the weights. From the released code
# (Code/VideoRec/SASRec): the in-batch softmax, its correction by log popularity, AdamW, batch, dropout, blocks,
# heads, clipping and at most 50 epochs, ended when 5 bring nothing. It masks what the kept interactions hold in the
# ranking; here everything earlier is masked, as for every other model.
MICROLENS: dict[str, Any] = {
    "softmax": "in-batch", "last": 13, "shortest": 5, "MAX_ITEM_LIST_LENGTH": 10, "valid_metric": "Hit@10",
    "eval_step": 1, "stopping_step": 5, "epochs": 50, "linear_decay": False, "train_batch_size": 512,
    "learner": "adamw", "learning_rate": 1e-4, "weight_decay": 0.1, "clip_grad_norm": {"max_norm": 5, "norm_type": 2},
    "n_layers": 2, "n_heads": 2, "num_layers": 2, "block_num": 2, "hidden_dropout_prob": 0.1, "attn_dropout_prob": 0.1,
    "dropout_prob": 0.1, "reg_weight": 0.0,
}  # fmt: skip
PRESETS = ("recbole", "microlens")


def preset_options(preset: str, features: bool, known: set[str]) -> dict[str, Any]:
    """The settings of a preset that a model has. Vectors have 1,024 numbers with ids alone, 512 with features."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    if preset == "recbole":
        return {}
    size = 512 if features else 1024
    sizes = {"hidden_size": size, "embedding_size": size, "inner_size": 4 * size}
    return {name: value for name, value in (MICROLENS | sizes).items() if name in known}


def check_own(model: str, options: dict[str, Any]) -> None:
    """Check vrsim's own settings among ``options``, and put the key of the table of vectors in place of its path."""
    for name, allowed in {"ids": (True, False), "layers": (1, 2), "softmax": ("full", "in-batch")}.items():
        if name in options and (type(options[name]), options[name]) not in [(type(value), value) for value in allowed]:
            expected = " or ".join(map(str, allowed))
            raise OptionError(f"option {name} of {model} must be {expected}, found {options[name]!r}")
    last = options.get("last", 0)
    if last and last < 4:
        raise OptionError(f"option last of {model} must be 0 or an integer from 4, found {last!r}")
    if "features" not in options:
        return
    names = str(options["features"]).split("+")
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise OptionError(f"features of {model} must be names like text+image, found {options['features']!r}")
    others = [name for name in names if name != "text"]
    if others and not options["vectors"]:
        raise OptionError(
            f"{model} with features={options['features']} expects vectors=FILE, a parquet file with the columns "
            f"item_id, {', '.join(others)}"
        )
    if options["vectors"] and not others:
        raise OptionError(f"{model} with features=text reads no table of vectors, found vectors={options['vectors']}")
    if others:
        options["vectors"] = table_key(options["vectors"])

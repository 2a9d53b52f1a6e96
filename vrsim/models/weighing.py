"""How probable each option is right after a text.

The text is read once. The first tokens of all options are weighed by the model's distribution over its next token;
options of several tokens go on from the stored keys and values of the text.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from vrsim.errors import ModelError

__all__ = ["pad_left", "weigh", "weigh_beside"]

NO_NUMBERS = "the model's probabilities are not numbers; its weights are damaged, or dtype=float32 helps"
LOGITS = 2**28  # numbers that the distributions of one forward pass may have: 1 GiB in float32


def weigh(
    model: Any, texts: Sequence[list[int]], options: Sequence[Sequence[list[int]]], batch_tokens: int
) -> list[tuple[float, ...]]:
    """The natural log probability of each option of each text, all in tokens, under the full vocabulary.

    log P(option | text) is the sum over its tokens, from log-softmax in float32. Raises ModelError where the model
    computes no numbers.
    """
    import torch

    ids, mask = pad_left(texts, model.device)  # (rows, length)
    long = [(row, place) for row, own in enumerate(options) for place, option in enumerate(own) if len(option) > 1]
    seen = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0), "logits_to_keep": 1}
    read = model(input_ids=ids, use_cache=bool(long), **_known(model, seen))
    first = torch.log_softmax(read.logits[:, -1].float(), -1)  # (rows, vocabulary)
    if first.isnan().any():
        raise ModelError(NO_NUMBERS)
    found = [first[row, [option[0] for option in own]].tolist() for row, own in enumerate(options)]
    if long:
        width = max(len(options[row][place]) for row, place in long) - 1
        room = min(batch_tokens // (ids.shape[1] + width), LOGITS // (width * first.shape[1]))
        for start in range(0, len(long), max(1, room)):
            part = long[start : start + max(1, room)]
            rest = _go_on(model, read.past_key_values, mask, part, [options[row][place] for row, place in part])
            for (row, place), more in zip(part, rest, strict=True):
                found[row][place] += more
    return [tuple(own) for own in found]


def _go_on(
    model: Any, cache: Any, mask: Any, places: Sequence[tuple[int, int]], options: Sequence[list[int]]
) -> list[float]:
    """The log probability of what follows each option's first token; ``mask`` and ``cache`` are the texts'."""
    import torch

    rows = torch.tensor([row for row, _ in places], device=mask.device)
    own = copy.copy(cache)  # the tensors are shared: what follows makes new ones
    own.layers = [copy.copy(layer) for layer in cache.layers]
    own.batch_select_indices(rows)
    width = max(map(len, options)) - 1
    fed = torch.tensor([option[:-1] + [0] * (width + 1 - len(option)) for option in options], device=mask.device)
    asked = torch.tensor([option[1:] + [0] * (width + 1 - len(option)) for option in options], device=mask.device)
    real = torch.tensor([[place < len(option) - 1 for place in range(width)] for option in options], device=mask.device)
    mask = torch.cat([mask[rows], torch.ones_like(fed)], 1)
    seen = {"attention_mask": mask, "position_ids": mask.cumsum(-1)[:, -width:] - 1}
    logits = model(input_ids=fed, past_key_values=own, use_cache=True, **_known(model, seen)).logits
    chances = torch.log_softmax(logits.float(), -1).gather(-1, asked[:, :, None])[:, :, 0]  # (options, width)
    return chances.masked_fill(~real, 0.0).sum(-1).tolist()


def weigh_beside(
    model: Any, inputs: Mapping[str, Any], behind: list[int], options: Sequence[list[int]]
) -> tuple[float, ...]:
    """The natural log probability of each option behind one prompt with images and the tokens that follow it.

    ``inputs``: what the model reads for the prompt, tokens of shape (1, length). Options that differ in their last
    token alone share a pass over everything: positions beside images are the model's own affair, so nothing is stored.
    """
    import torch

    found: dict[tuple[int, ...], Any] = {}
    for read in dict.fromkeys(tuple(option[:-1]) for option in options):
        more = torch.tensor([behind + list(read)], dtype=torch.long, device=model.device)
        fields = {"input_ids": more, "attention_mask": torch.ones_like(more)}
        grown = {
            name: torch.cat([value, fields.get(name, torch.zeros_like(more)).to(value.dtype)], 1)
            for name, value in inputs.items()
            if value.shape == inputs["input_ids"].shape  # one number per token
        }
        logits = model(**{**inputs, **grown}, use_cache=False).logits[0, -len(read) - 1 :]
        found[read] = torch.log_softmax(logits.float(), -1)  # (read + 1, vocabulary)
    if any(chances.isnan().any() for chances in found.values()):
        raise ModelError(NO_NUMBERS)
    return tuple(
        sum(found[tuple(option[:-1])][place, token].item() for place, token in enumerate(option)) for option in options
    )


def pad_left(rows: Sequence[list[int]], device: Any) -> tuple[Any, Any]:
    """Tokens and attention mask, int64 of shape (rows, longest); what is masked has token 0."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def _known(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs that this architecture has: some have no positions, some always return every logit."""
    names = inspect.signature(model.forward).parameters
    return {name: value for name, value in inputs.items() if name in names}

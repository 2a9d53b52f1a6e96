"""Encoders that turn texts into vectors: models of transformers and of sentence-transformers, by name."""

from collections.abc import Sequence

import numpy as np

from vrsim.errors import DependencyError, ModelError
from vrsim.models.checkpoints import find_checkpoint, first_sentence
from vrsim.models.loading import load_tokenizer, quiet
from vrsim.progress import Progress, silent
from vrsim.threads import import_torch

__all__ = ["encode_by_sentence_transformers", "encode_by_transformers"]

BATCH = 64  # texts at a time
LONGEST = 256  # tokens of a text that are read


def encode_by_transformers(name: str, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
    """The mean of the last hidden states over the tokens of each text, float32 (texts, D).

    ``name``: a folder, or a model of the hub. Texts are cut at 256 tokens. Raises ModelError, DependencyError.
    """
    checkpoint = find_checkpoint(name)
    tokenizer = load_tokenizer(checkpoint)
    torch = import_torch()
    import transformers

    try:
        with quiet():
            model = transformers.AutoModel.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be loaded as an encoder: {first_sentence(error)}") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    found = np.empty((len(texts), model.config.hidden_size), np.float32)
    order = np.argsort([len(text) for text in texts], kind="stable")  # texts of like length share a batch
    with torch.no_grad():
        for start in range(0, len(texts), BATCH):
            places = order[start : start + BATCH]
            words = tokenizer(
                [texts[place] for place in places], padding=True, truncation=True, max_length=LONGEST,
                return_tensors="pt",
            ).to(device)  # fmt: skip
            states = model(input_ids=words["input_ids"], attention_mask=words["attention_mask"]).last_hidden_state
            read = words["attention_mask"].unsqueeze(-1)
            means = (states * read).sum(dim=1) / read.sum(dim=1).clamp(min=1)
            found[places] = means.float().cpu().numpy()
            progress(min(start + BATCH, len(texts)), len(texts), "reading the words of the items")
    return found


def encode_by_sentence_transformers(name: str, texts: Sequence[str]) -> np.ndarray:
    """The vectors that a model of sentence-transformers gives, float32 (texts, D). Raises as above."""
    try:
        import_torch()
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise DependencyError(
            f"the encoder st:{name} needs sentence-transformers: pip install sentence-transformers"
        ) from None
    try:
        model = SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise ModelError(f"sentence-transformers cannot load {name}: {first_sentence(error)}") from error
    return np.asarray(model.encode(list(texts), batch_size=BATCH, show_progress_bar=False), np.float32)

"""A small language model from nothing: its shape, and its training on histories and what a recommender says of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vrsim.errors import ModelError, OptionError
from vrsim.models.pocket_teacher import Teacher, ask_recommender
from vrsim.models.pocket_tokenizer import make_tokenizer, title_token
from vrsim.progress import Progress
from vrsim.seeding import generator
from vrsim.text.templates import TITLES
from vrsim.threads import import_torch
from vrsim.world import World

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM

__all__ = ["PocketConfig", "train"]

WINDOW, BATCH = 50, 64  # titles of a training sequence, sequences of a step
PASSES, FEWEST, MOST = 12, 300, 2000  # over all histories; steps at least and at most
SPREAD = 0.08  # standard deviation of new weights: so narrow a model learns nothing for long from the usual 0.02
TAKEN = 0.3  # weight of what was taken beside what the recommender finds probable
FORGET = 0.1  # at most this share of a window is left out: what came in between may be missing
LEARNING_RATE = 4e-3  # the highest
CHECKS = 12  # evenly spaced looks at the validation loss; the best weights are kept
VALIDATED = 2000  # at most this many users


@dataclass(frozen=True)
class PocketConfig:
    """The shape of the model and its training."""

    hidden: int = 128  # width, a multiple of 8
    layers: int = 5
    steps: int = 0  # of 64 windows, 0 = 12 passes over the histories, at least 300 and at most 2,000 steps
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (("hidden", 8, 4096), ("layers", 1, 48), ("steps", 0, 10**9), ("seed", 0, 2**63 - 1)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise OptionError(f"{name} must be an integer from {least} to {most}, found {value!r}")
        if self.hidden % 8:
            raise OptionError(f"hidden must be a multiple of 8, found {self.hidden}")


def train(world: World, config: PocketConfig, progress: Progress) -> "tuple[Qwen2ForCausalLM, Any, dict[str, Any]]":
    """The model, its tokenizer and a report; trained on what the recommender of ``world`` may see.

    The last of those interactions of each user is left for validation, as RecBole leaves it. A training sequence is the
    template ``titles`` over a window of the history. After each title the loss is the divergence from what the
    recommender finds probable there (vrsim.models.pocket_teacher), where it can say, and that of the next title.
    """
    torch = import_torch()

    tokenizer = make_tokenizer(world)
    tokens = np.array(
        [0, *tokenizer.convert_tokens_to_ids([title_token(world, i) for i in range(1, world.n_items + 1)])]
    )
    before = tokenizer(TITLES.selection.format(history=""), add_special_tokens=False)["input_ids"]
    rng = generator(config.seed, "pocket")
    teacher = ask_recommender(world, config.hidden // 2, rng, progress)
    histories = _Histories(world, tokens, np.array(before), teacher, rng)
    if not histories.steps_of_a_pass():
        raise ModelError(
            f"world {world.name!r} has no user with {world.holdout + 3} interactions, of which {world.holdout} are "
            "held out and one is for validation: there is no history to learn from"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = _make(len(tokenizer), config, tokenizer)
        if teacher is not None:
            _place(model, tokens, teacher.titles)
        report = _fit(model, histories, _Losses(tokens, teacher), config, progress)
    parameters = sum(weight.numel() for weight in model.parameters())
    return model.eval(), tokenizer, {"parameters": parameters, "vocabulary": len(tokenizer), **report}


def _make(vocabulary: int, config: PocketConfig, tokenizer: Any) -> "Qwen2ForCausalLM":
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=config.hidden,
        intermediate_size=4 * config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        initializer_range=SPREAD,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        attention_dropout=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(shape)


def _place(model: "Qwen2ForCausalLM", tokens: np.ndarray, titles: np.ndarray) -> None:
    """Let titles that the recommender finds alike start near each other; its numbers are float32 (n_items + 1, D)."""
    import torch

    ids, likeness = torch.from_numpy(tokens[1:]), titles / (np.sqrt((titles[1:] ** 2).mean()) + 1e-12)
    with torch.no_grad():
        weights = model.model.embed_tokens.weight
        weights[ids] *= 0.1
        weights[ids, : likeness.shape[1]] += SPREAD / 2 * torch.from_numpy(likeness[1:])


class _Histories:
    """Training windows and validation questions as token ids."""

    def __init__(
        self, world: World, tokens: np.ndarray, before: np.ndarray, teacher: Teacher | None, rng: np.random.Generator
    ) -> None:
        interactions = world.interactions
        self._tokens = tokens[interactions.items]  # int64 (interactions,)
        self._moments = np.full(len(interactions), -1) if teacher is None else teacher.moments
        self._begin, self._end = interactions.offsets[:-1], interactions.offsets[1:] - world.holdout - 1
        self._before, self._rng = before, rng
        self.size = len(before) + WINDOW

    def steps_of_a_pass(self) -> int:
        """Roughly; 0 = there is nothing to learn from."""
        lengths = (self._end - self._begin)[self._end - self._begin >= 2]
        return max(1, int(lengths.sum() / WINDOW + len(lengths) / 2) // BATCH) if len(lengths) else 0

    def batches(self) -> Any:
        """One pass: tokens and targets int64 (BATCH, size), -100 = no loss, and the teacher's moment of each target,
        int64 (BATCH, size), -1 = it was not asked. Each title is a target at most once.
        """
        starts, ends = [], []
        for begin, end in zip(self._begin.tolist(), self._end.tolist(), strict=True):
            first = begin + int(self._rng.integers(WINDOW))
            cuts = sorted({begin, *range(first, end, WINDOW)}) if end - begin >= 2 else []
            starts += cuts
            ends += [*cuts[1:], end] if cuts else []
        order = self._rng.permutation(len(starts))
        for part in np.array_split(order, max(1, len(order) // BATCH)):
            yield self._rows([(starts[i], ends[i]) for i in part])

    def _rows(self, windows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tokens = np.zeros((len(windows), self.size), np.int64)
        moments = np.full(tokens.shape, -1, np.int64)
        targets = np.full(tokens.shape, -100, np.int64)
        lead = len(self._before)
        for row, (start, end) in enumerate(windows):
            begin = max(self._begin[np.searchsorted(self._begin, start, side="right") - 1], end - WINDOW)
            kept = np.arange(begin, end)
            kept = kept[self._rng.random(len(kept)) >= FORGET * self._rng.random()]
            tokens[row, :lead] = self._before
            tokens[row, lead : lead + len(kept)] = self._tokens[kept]
            new = kept >= start
            targets[row, lead : lead + len(kept)] = np.where(new, self._tokens[kept], -100)
            moments[row, lead : lead + len(kept)] = np.where(new, self._moments[kept], -1)
        return tokens, targets, moments

    def validation(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Token ids int64 (users, size), where the last known one stands int64 (users,), the next title, and the
        teacher's moment of it, -1 = it was not asked.
        """
        users = np.flatnonzero(self._end - self._begin >= 1)
        users = users[np.linspace(0, len(users) - 1, min(len(users), VALIDATED)).astype(np.int64)]
        tokens = np.zeros((len(users), self.size), np.int64)
        tokens[:, : len(self._before)] = self._before
        last = np.empty(len(users), np.int64)
        for row, (begin, end) in enumerate(zip(self._begin[users], self._end[users], strict=True)):
            known = self._tokens[max(begin, end - WINDOW) : end]
            tokens[row, len(self._before) : len(self._before) + len(known)] = known
            last[row] = len(self._before) + len(known) - 1
        return tokens, last, self._tokens[self._end[users]], self._moments[self._end[users]]


class _Losses:
    """The mean losses of predicted next titles, in nats: by what was taken, and by what the recommender thinks."""

    def __init__(self, tokens: np.ndarray, teacher: Teacher | None) -> None:
        import torch

        self._ids = torch.from_numpy(tokens[1:])
        self._states, self._titles = (
            (None, None) if teacher is None else map(torch.from_numpy, (teacher.states, teacher.titles[1:]))
        )

    def __call__(self, logits: Any, targets: Any, moments: Any) -> tuple[Any, Any]:
        """``logits`` (B, vocabulary), ``targets`` tokens int64 (B,), ``moments`` int64 (B,), -1 = nobody was asked."""
        import torch
        from torch.nn.functional import cross_entropy, kl_div

        asked = moments >= 0
        if self._states is None or not asked.any():
            return cross_entropy(logits, targets), torch.zeros(())
        found = torch.log_softmax(logits[asked][:, self._ids], -1)  # (asked, items)
        taught = torch.log_softmax(self._states[moments[asked]] @ self._titles.T, -1)
        return cross_entropy(logits, targets), kl_div(found, taught, reduction="batchmean", log_target=True)


def _fit(
    model: "Qwen2ForCausalLM", histories: _Histories, losses: _Losses, config: PocketConfig, progress: Progress
) -> dict[str, Any]:
    """Train, keep the weights with the best validation loss, and report it."""
    import torch

    steps = config.steps or int(np.clip(PASSES * histories.steps_of_a_pass(), FEWEST, MOST))
    optimizers = _optimizers(model)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1, cycle_momentum=False
        )
        for optimizer in optimizers
    ]
    checks = set(np.linspace(0, steps, CHECKS + 1).astype(int).tolist()[1:])
    best, told, kept, done = np.inf, (np.inf, np.inf), {}, 0
    model.train()
    while done < steps:
        for batch in histories.batches():
            tokens, targets, moments = map(torch.from_numpy, batch)
            asked = targets[:, 1:] >= 0
            hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
            taken, taught = losses(model.lm_head(hidden[asked]), targets[:, 1:][asked], moments[:, 1:][asked])
            loss = TAKEN * taken + taught
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for each in (*optimizers, *schedules):
                each.step()
            done += 1
            progress(done, steps, f"pocket: loss {loss.item():.2f}")
            if done in checks:
                found = _validate(model, histories, losses)
                if TAKEN * found[0] + found[1] < best:
                    best, told = TAKEN * found[0] + found[1], found
                    kept = {name: value.clone() for name, value in model.state_dict().items()}
            if done == steps:
                break
    model.load_state_dict(kept)
    return {"steps": steps, "validation_loss": round(told[0], 4), "divergence": round(told[1], 4)}


def _optimizers(model: "Qwen2ForCausalLM") -> list[Any]:
    """Muon for the matrices inside, AdamW for tables of titles and for vectors.

    Muon (Jordan et al., 2024) makes the step of a matrix orthogonal: what few examples say moves it as much as what
    most of them say. Its steps are made as large as AdamW's (Moonlight, 2025), so one learning rate does.
    """
    import torch

    matrices = [part.weight for part in model.model.modules() if isinstance(part, torch.nn.Linear)]
    inside = {id(weight) for weight in matrices}
    rest = [weight for weight in model.parameters() if id(weight) not in inside]
    groups = [
        {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": 0.1},
        {"params": [weight for weight in rest if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(matrices, lr=LEARNING_RATE, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98)),
    ]


def _validate(model: "Qwen2ForCausalLM", histories: _Histories, losses: _Losses) -> tuple[float, float]:
    """Both losses after each validated user's history."""
    import torch

    tokens, last, target, moments = map(torch.from_numpy, histories.validation())
    model.eval()
    logits = []
    with torch.inference_mode():
        for part in torch.arange(len(tokens)).split(256):
            hidden = model.model(input_ids=tokens[part]).last_hidden_state[torch.arange(len(part)), last[part]]
            logits.append(model.lm_head(hidden))
        taken, taught = losses(torch.cat(logits), target, moments)
    model.train()
    return float(taken), float(taught)

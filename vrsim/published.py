"""Published numbers, to stand beside one's own: what others report, on what, under which protocol.

Differences of data, prompts, splits and sampling are theirs; a published row is a landmark, not a competitor under
equal conditions. Percentages are written as shares.
"""

from dataclasses import dataclass, field

import numpy as np

from vrsim.scoring import implied_base_rate

__all__ = ["ABLATION", "PUBLISHED", "PublishedRow", "published"]


@dataclass(frozen=True)
class PublishedRow:
    """One line of a published table."""

    simulator: str
    data: str
    source: str
    protocols: tuple[str, ...]  # protocols of vrsim that ask the like
    judgment: dict[str, float] = field(default_factory=dict)  # accuracy, precision, recall, f1, auc
    selection: dict[int, float] = field(default_factory=dict)  # accuracy by number of wrong items

    @property
    def base_rate(self) -> float | None:
        """Share of positives that the judgment's numbers imply; None where they do not say."""
        if not {"accuracy", "precision", "recall"} <= self.judgment.keys():
            return None
        rate = implied_base_rate(*(self.judgment[name] for name in ("accuracy", "precision", "recall")))
        return float(rate) if np.isfinite(rate) else None


VRAGENT = "VRAgent-R1 (AAAI 2026)"


def _microlens(simulator: str, accuracy: float, recall: float, precision: float, f1: float, *chosen: float):
    judgment = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
    selection = dict(zip((3, 4), chosen, strict=False))
    return PublishedRow(simulator, "microlens-100k", VRAGENT, ("vragent-paper", "vragent-code"), judgment, selection)


def _film_and_game(simulator: str, films: tuple[float, ...], games: tuple[float, ...], source: str = VRAGENT):
    protocols = ("agent4rec-1to1", "uniform")
    return [
        PublishedRow(simulator, data, source, protocols, dict(zip(("accuracy", "f1"), values, strict=False)))
        for data, values in (("ml-1m", films), ("steam", games))
    ]


PUBLISHED = (
    _microlens("GPT-4o", 0.535, 0.480, 0.533, 0.505, 0.307, 0.269),
    _microlens("DeepSeek-R1", 0.528, 0.556, 0.526, 0.541, 0.264, 0.231),
    _microlens("Qwen2.5-7B", 0.491, 0.512, 0.490, 0.500, 0.245, 0.197),
    _microlens("LLM.Simulator", 0.523, 0.539, 0.519, 0.529),
    _microlens("Agent4Rec", 0.528, 0.482, 0.520, 0.501),
    _microlens("TALLRec (SFT)", 0.537, 0.913, 0.521, 0.663),
    _microlens("MLLM-MSR (SFT)", 0.585, 0.882, 0.553, 0.679, 0.442, 0.381),
    _microlens("VRAgent-R1", 0.715, 0.760, 0.697, 0.727, 0.641, 0.602),
    *_film_and_game("GPT-4o", (0.584, 0.600), (0.634, 0.662)),
    *_film_and_game("RecAgent", (0.581, 0.621), (0.627, 0.650)),
    *_film_and_game("Agent4Rec", (0.691, 0.698), (0.689, 0.679)),
    *_film_and_game("Qwen2.5 SFT", (0.743, 0.732), (0.738, 0.745)),
    *_film_and_game("VRAgent-R1", (0.815, 0.808), (0.803, 0.805)),
    *_film_and_game("AlignUSER", (0.832,), (0.827,), "AlignUSER (2026), from a secondary source"),
    PublishedRow(
        "Agent4Rec, a user's rerun",
        "ml-1m",
        "an issue of the Agent4Rec repository",
        ("agent4rec-1to1",),
        {"accuracy": 0.599, "f1": 0.501},
    ),
    *(
        PublishedRow(f"TALLRec, {shots} examples", "ml-100k", "TALLRec (RecSys 2023)", ("tallrec",), {"auc": auc})
        for shots, auc in ((16, 0.672), (64, 0.675), (256, 0.720))
    ),
)

# What the parts of VRAgent-R1's User Simulation Agent are worth; the names are those of vrsim.suites.VARIANTS. The full
# method has .646 with m = 3 there, and .641 in the table above.
ABLATION = tuple(
    PublishedRow(
        name,
        "microlens-100k",
        f"{VRAGENT}, ablation",
        ("vragent-paper", "vragent-code"),
        {"accuracy": accuracy, "f1": f1},
        {3: of_four, 4: of_five},
    )
    for name, accuracy, f1, of_four, of_five in (
        ("SFT", 0.585, 0.679, 0.442, 0.381),
        ("GRPO, no CoT", 0.580, 0.592, 0.324, 0.263),
        ("GRPO, no comments", 0.695, 0.705, 0.618, 0.577),
        ("GRPO, no captions", 0.680, 0.686, 0.609, 0.569),
        ("GRPO", 0.715, 0.727, 0.646, 0.602),
    )
)


def published(protocol: str, data: str | None = None) -> list[PublishedRow]:
    """The published rows for a protocol; ``data`` is the built-in world they are about, None = all."""
    return [row for row in PUBLISHED if protocol in row.protocols and data in (None, row.data)]

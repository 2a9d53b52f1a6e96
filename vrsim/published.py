"""Published numbers, to stand beside one's own: what others report, on what, under which protocol.

Differences of data, prompts, splits and sampling are theirs; a published row is a landmark, not a competitor under
equal conditions. Percentages are written as shares.
"""

from dataclasses import dataclass, field

import numpy as np

from vrsim.scoring import implied_base_rate

__all__ = [
    "ABLATION",
    "AUGMENTED",
    "PUBLISHED",
    "RANKINGS",
    "PublishedRanking",
    "PublishedRow",
    "published",
    "published_augmentation",
    "published_ranking",
]


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


@dataclass(frozen=True)
class PublishedRanking:
    """One recommender of a published table: how it ranks the last items of users among all items."""

    recommender: str
    data: str
    source: str
    metrics: dict[str, float]  # HR and NDCG at 10 and 20
    users: str = "all"  # or asked: those whose simulated users were asked


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


def _ranking(recommender: str, *values: float, users: str = "all") -> PublishedRanking:
    metrics = dict(zip(("HR@10", "NDCG@10", "HR@20", "NDCG@20"), values, strict=False))
    return PublishedRanking(recommender, "microlens-100k", VRAGENT, metrics, users)


# The table of recommenders, and the ablation of the Item Perception Agent; the names are those of
# vrsim.recommender_rows. "T": titles, "I": covers, "V": videos, "F": all three.
RANKINGS = (
    _ranking("DSSM", 0.0394, 0.0193, 0.0654, 0.0258),
    _ranking("LightGCN", 0.0372, 0.0177, 0.0618, 0.0239),
    _ranking("DeepFM", 0.0350, 0.0170, 0.0571, 0.0225),
    _ranking("NextItNet", 0.0805, 0.0442, 0.1175, 0.0535),
    _ranking("NextItNet + V", 0.0862, 0.0466, 0.1246, 0.0562),
    _ranking("GRU4Rec", 0.0782, 0.0432, 0.1147, 0.0515),
    _ranking("MMGCN", 0.0778, 0.0423, 0.1138, 0.0513),
    _ranking("SASRec", 0.0909, 0.0517, 0.1278, 0.0610),
    _ranking("SASRec T", 0.0916, 0.0490, 0.1343, 0.0598),
    _ranking("SASRec I", 0.0942, 0.0511, 0.1358, 0.0613),
    _ranking("SASRec V", 0.0948, 0.0515, 0.1364, 0.0619),
    _ranking("SASRec F", 0.0953, 0.0517, 0.1362, 0.0623),
    _ranking("SASRec + MLLM-MSR", 0.0606, 0.0351, 0.0911, 0.0446),
    _ranking("NextItNet + IP", 0.0884, 0.0478, 0.1278, 0.0583),
    _ranking("SASRec + IP", 0.0994, 0.0548, 0.1418, 0.0655),
    _ranking("SASRec + IP, no-kfr", 0.0980, 0.0542),
    _ranking("SASRec + IP, no-cmp", 0.0960, 0.0519),
    _ranking("SASRec + IP, no-rra", 0.0816, 0.0466),
)

# SASRec with the captions of the IP Agent, trained again with what the US Agent of 8,000 cold users said of its top 10;
# the names are those of vrsim.augmentation.asking.
AUGMENTED = (
    _ranking("nothing added", 0.0994, 0.0548),
    _ranking("dislikes", 0.0988, 0.0543),
    _ranking("likes", 0.1003, 0.0554),
    _ranking("nothing added", 0.0663, 0.0318, users="asked"),
    _ranking("dislikes", 0.0654, 0.0311, users="asked"),
    _ranking("likes", 0.0678, 0.0330, users="asked"),
)


def published(protocol: str, data: str | None = None) -> list[PublishedRow]:
    """The published rows for a protocol; ``data`` is the built-in world they are about, None = all."""
    return [row for row in PUBLISHED if protocol in row.protocols and data in (None, row.data)]


def published_ranking(recommender: str) -> PublishedRanking | None:
    """The published row of a recommender, None where there is none."""
    return next((row for row in RANKINGS if row.recommender == recommender), None)


def published_augmentation(row: str, users: str) -> PublishedRanking | None:
    """The published row for some users, "all" or "asked", None where there is none."""
    return next((found for found in AUGMENTED if (found.recommender, found.users) == (row, users)), None)

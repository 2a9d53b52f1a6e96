"""The page about a captioning run: each item with its title, its frames, the chosen ones marked, and its words."""

import base64
import html
from collections.abc import Mapping
from io import BytesIO

from vrsim.perception.caption_audit import CaptionAudit
from vrsim.perception.captioning import Captioned
from vrsim.perception.items import Item
from vrsim.perception.stages import Output, Stages
from vrsim.report.page import static_page
from vrsim.report.parts import Html, facts, isolated, plain, plural
from vrsim.report.plain_text import markup

__all__ = ["contact_sheet"]

WIDTH, QUALITY = 176, 70  # pixels and JPEG quality of a frame on the page
LONG = 4000  # characters of a text that are shown


def contact_sheet(done: Captioned, shown: int) -> Html:
    """The whole page about a run that went through all stages; of its items the first ``shown`` ones."""
    items, stages = done.items[:shown], Stages(done.stages)
    try:
        cards = [
            _card(
                item,
                {stage: outputs[item.item_id] for stage, outputs in done.outputs.items()},
                stages.images(done.keys["frames"], item.key),
            )
            for item in items
        ]
    finally:
        stages.close()
    head = f"<header>\n<h1>Captions of {plural(len(done.items), 'item')}</h1>\n"
    if len(items) < len(done.items):
        head += f"<p>The first {len(items):,} of them are shown.</p>\n"
    content = f'{head}</header>\n{_numbers(done.audit)}<section aria-label="Items">\n{"".join(cards)}</section>'
    return static_page("vrsim captions", content)


def _numbers(audit: CaptionAudit) -> Html:
    pairs = [
        ("Captions", f"{audit.captions:,} of {plural(audit.items, 'item')}"),
        ("Words", f"{audit.words:.1f} on average, {audit.longest} at most, {audit.above:,} captions above the limit"),
        ("Scripts", _counts(audit.scripts)),
        ("In another script than the title", f"{audit.other_script:,}"),
        ("Words without support", f"{audit.unsupported:.1%} are neither in the title nor in the perception"),
        ("Captions that another item has too", f"{audit.repeated:,}"),
        ("Remarks", _counts(audit.flags)),
        ("Frames chosen by", _counts(audit.ways)),
        ("Items without frames", _counts(audit.no_frames)),
        ("Items without a title", f"{audit.no_title:,}"),
    ]
    return f'<section aria-label="Numbers">\n{facts(pairs)}</section>\n'


def _counts(counts: Mapping[str, int]) -> Html:
    return ", ".join(f"{plain(name)}: {number:,}" for name, number in counts.items())


def _card(item: Item, outputs: Mapping[str, Output], jpegs: Mapping[int, bytes]) -> Html:
    frames, choice = outputs["frames"], outputs["choice"]
    scores = choice.get("scores", [None] * len(jpegs))
    pictures = "".join(
        _frame(jpeg, time, score, place in choice["places"])
        for (place, jpeg), time, score in zip(jpegs.items(), frames.get("times", ()), scores, strict=True)
    )
    remarks = [frames.get("error", ""), *frames.get("notes", ()), ", ".join(outputs["caption"]["flags"])]
    said = "".join(f'<p class="soft">{plain(remark)}</p>\n' for remark in remarks if remark)
    return (
        f'<article class="episode">\n<h3>{isolated(item.title or "(no title)")} '
        f"<small>{isolated(item.item_id)}</small></h3>\n"
        f'<div class="frames">{pictures}</div>\n'
        f'<p class="asked">{markup(outputs["caption"]["text"], LONG)}</p>\n'
        f'<p class="history">{markup(outputs["perception"]["text"], LONG)}</p>\n{said}</article>\n'
    )


def _frame(jpeg: bytes, time: float, score: float | None, chosen: bool) -> Html:
    from PIL import Image

    image = Image.open(BytesIO(jpeg))
    image.thumbnail((WIDTH, WIDTH))
    file = BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=QUALITY)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    told = f"{time:.1f} s" + ("" if score is None else f", {score:.3f}") + (", chosen" if chosen else "")
    return (
        f'<figure{" class=chosen" if chosen else ""}><img alt="{html.escape(f"frame at {told}")}" '
        f'src="data:image/jpeg;base64,{data}"><figcaption>{told}</figcaption></figure>'
    )

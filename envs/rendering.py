"""An episode as a person would read it, as text and as a picture."""

import numpy as np

from vrsim.catalog import Catalog
from vrsim.episodes import Episodes

__all__ = ["SHOWN", "describe", "draw", "write"]

SHOWN = 5  # newest history items
WIDTH, LINE, MARGIN = 640, 20, 12  # pixels
PAPER, INK, RIGHT, WRONG = (255, 255, 255), (34, 34, 34), (0, 114, 178), (213, 94, 0)  # colour-blind safe


def write(episodes: Episodes, episode: int, action: int) -> str:
    """History, slate and, once answered (``action`` from 0, else -1), choice and truth."""
    catalog = episodes.world.catalog
    user, t = episodes.positions[episode].tolist()
    lines = [f"User {user} after {t} interactions, the last of them:"]
    for item in episodes.world.history(user, t)[-SHOWN:].tolist():
        lines.append(f"    {describe(catalog, item)}")
    answer = int(episodes.answers[episode])
    if episodes.task == "judgment":
        lines += ["Would this user take", f"    {describe(catalog, int(episodes.slates[episode, 0]))} ?"]
        says = ("No", "Yes")
    else:
        lines.append("Which one next?")
        says = tuple(f"{place}" for place in range(episodes.n_options))
        lines += [f"  {i}  {describe(catalog, item)}" for i, item in enumerate(episodes.slates[episode].tolist())]
    if action >= 0:
        verdict = "right" if action == answer else "wrong"
        lines.append(f"Answer: {says[action]}. Truth: {says[answer]}. That is {verdict}.")
    return "\n".join(lines)


def describe(catalog: Catalog, item: int) -> str:
    """The item with its genres."""
    genres = ", ".join(catalog.genres[item])
    return f"{catalog.label(item)} [{genres}]" if genres else catalog.label(item)


def draw(text: str) -> np.ndarray:
    """The text on paper, uint8 (height, 640, 3); the verdict in colour. Before the answer its line stays free."""
    from PIL import Image, ImageDraw, ImageFont

    lines = text.split("\n")
    answered = lines[-1].startswith("Answer: ")
    image = Image.new("RGB", (WIDTH, 2 * MARGIN + LINE * (len(lines) + (not answered))), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=14)
    for row, line in enumerate(lines):
        color = INK
        if line.startswith("Answer: "):
            color = RIGHT if line.endswith("right.") else WRONG
        pen.text((MARGIN, MARGIN + LINE * row), line, fill=color, font=font)
    return np.asarray(image).copy()

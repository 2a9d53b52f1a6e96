"""A picture of matplotlib as part of a page: without styles of its own, in the colours of the page.

A page that allows no inline styles would show matplotlib's SVG in black; what its ``style`` attributes say
stands in attributes of SVG afterwards, which are no styles to a browser.
"""

import re
from xml.etree import ElementTree

from vrsim.report.pictures import GRID, INK, Picture

__all__ = ["inline_svg"]

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
DROPPED = ("metadata", "style")


def inline_svg(picture: Picture, prefix: str) -> str:
    """The SVG element of a picture, for HTML. ``prefix`` keeps its ids apart from those of other pictures."""
    root = ElementTree.fromstring(picture.svg)
    _drop(root)
    used = set(re.findall(r"#([\w.-]+)", " ".join(v for e in root.iter() for k, v in e.attrib.items() if k != "style")))
    for element in root.iter():
        _rewrite(element, prefix, used)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": picture.alt, "stroke-linejoin": "round"}
    return ElementTree.tostring(root, encoding="unicode")


def _drop(root: ElementTree.Element) -> None:
    """Remove what a page needs not: metadata, style sheets, the white ground."""
    for parent in list(root.iter()):
        for child in list(parent):
            ground = child.get("id") == "patch_1" and parent.get("id") == "figure_1"
            if ground or child.tag.rpartition("}")[2] in DROPPED:
                parent.remove(child)


def _rewrite(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    element.tag = element.tag.removeprefix(SVG)
    element.text, element.tail = (text if text and text.strip() else None for text in (element.text, element.tail))
    attributes = {}
    for name, value in element.attrib.items():
        if name == "style":
            attributes |= dict(_attributes(value))
        elif name != "id":
            value = re.sub(r"(url\(|^)#", rf"\1#{prefix}-", value)
            attributes[name.removeprefix(XLINK)] = re.sub(r"(\.\d\d)\d+", r"\1", value)
        elif value in used:
            attributes["id"] = f"{prefix}-{value}"
    element.attrib.clear()
    element.attrib.update(attributes)


def _attributes(style: str):
    """The declarations of a style as attributes; ink and grid take the colour of the page's text."""
    for declaration in filter(None, map(str.strip, style.split(";"))):
        name, _, value = map(str.strip, declaration.partition(":"))
        if name == "font-family":  # that of the page
            continue
        if value == GRID:
            yield f"{name}-opacity", "0.16"
        yield name, "currentColor" if value in (INK, GRID) else value

"""The page as one file that fetches nothing: its own styles and scripts, allowed by their hash and nothing else."""

import base64
import hashlib
import html
from importlib.resources import files
from string import Template

from vrsim.report.parts import Html
from vrsim.report.plain_text import cut

__all__ = ["assemble", "static_page"]

SCRIPTS = ("decode.js", "questions.js", "card.js", "browser.js")  # run as one, in this order


def assemble(title: str, head: Html, sets: Html, provenance: Html, data: Html, notes: Html) -> Html:
    """The whole page. ``data`` are blocks for the browser of episodes, ``notes`` sentences about them."""
    style, style_source = _style_and_source()
    script = '\n"use strict";\n' + "\n".join(map(_file, SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {style_source}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_file("page.html")).substitute(
        policy=policy,
        title=html.escape(cut(title, 100)),
        style=style,
        head=head,
        sets=sets,
        notes=notes,
        provenance=provenance,
        data=data,
        script=script,
    )


def static_page(title: str, content: Html) -> Html:
    """A whole page without scripts."""
    style, source = _style_and_source()
    policy = f"default-src 'none'; style-src {source}; img-src data:; base-uri 'none'; form-action 'none'"
    page = Template(_file("static.html"))
    return page.substitute(policy=policy, title=html.escape(cut(title, 100)), style=style, content=content)


def _style_and_source() -> tuple[str, str]:
    """The style of a page, and the source of a Content-Security-Policy that allows it."""
    style = "\n" + _file("page.css")
    return style, _hash(style)


def _file(name: str) -> str:
    return files("vrsim.report").joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    """A source of a Content-Security-Policy that is this text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}'"

"""A report says what the runs say, shows hostile text as text, stays small, and is the same every time."""

import base64
import gzip
import hashlib
import html
import json
import os
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from vrsim import registry
from vrsim.agent import Agent, Decisions, n_options
from vrsim.audit import lifts
from vrsim.bench import BenchConfig, run_bench
from vrsim.building import BuildConfig, build
from vrsim.catalog import Catalog
from vrsim.comparisons import compare, holm
from vrsim.data import Data
from vrsim.errors import DependencyError, ResultsError
from vrsim.estimates import Estimate
from vrsim.interactions import Interactions
from vrsim.loop import play
from vrsim.registry import make_agent
from vrsim.report import LARGEST, write_report
from vrsim.report import __name__ as package
from vrsim.report.blocks import narrow, pack
from vrsim.report.findings import find
from vrsim.report.plain_text import cut, interval, number, p_value, shorten_paths, signed, visible
from vrsim.report.word_blocks import LONGEST
from vrsim.runs import read_run
from vrsim.statistics import evaluate

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<!--",
    "]]></svg><b>",
    "right \u202eto left\u202c",
    "NUL \x00 and bell \x07",
    "two\nlines\r\nand\ttab",
    "$\\frac{1}{2}$ _ ^ & &amp; %s {0}",
    "\u05e9\u05dc\u05d5\u05dd 日本語 \U0001f600",
)
AGENTS = (
    "talker",
    "talker:style=<img src=x onerror=alert(1)>",
    "_odd name:style=$x^2$",
    "constant:answer=no",
    "popularity",
)
SHORTCUTS = ("constant:answer=no", "popularity")
WORLD = "a <i>world"


class Talker(Agent):
    """Say hostile things, be unreadable at times, and give probabilities."""

    def __init__(self, style: str = "") -> None:
        self.style = style

    def act(self, observations):
        size, options = len(observations["slate"]), n_options(observations)
        place = observations["position"].sum(axis=1) + observations["slate"].sum(axis=1) + len(self.style)
        words = [f"{HOSTILE[i % len(HOSTILE)]}{self.style} as I said" for i in place.tolist()]
        words[0], words[1] = "\ud800 alone", "z" * 1_000_000
        chance = np.random.default_rng(len(self.style)).dirichlet(np.ones(options), size)
        columns = chance if observations["slate"].shape[1] > 1 else chance[:, 1:]
        return Decisions(place % options, place % 7 > 0, words, columns)


def hostile_data(users: int = 120, items: int = 30) -> Data:
    """People with eight interactions each, with things that have hostile titles."""
    rng = np.random.default_rng(0)
    seen = np.concatenate([rng.permutation(items)[:8] + 1 for _ in range(users)]).astype(np.int32)
    titles = [f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(items - 1)] + ["y" * 1_000_000]
    columns = {"item_id": [f"i{i}" for i in range(items)], "title": titles, "year": [0] * items}
    table = pa.table(columns | {"genres": [[]] * items, "caption": [""] * items}, schema=Catalog.SCHEMA)
    names = pa.array([f"<u>{i}</u>\u202e" for i in range(users)], pa.string())
    return Data(Interactions(np.arange(users + 1) * 8, seen), Catalog(table), names, {})


def make_run(folder):
    """A run on a world full of hostile text, with agents that say more of it."""
    build(folder / WORLD, hostile_data(), BuildConfig(recommender="transitions"))
    known = dict(registry._registered)
    for name in ("talker", "_odd name"):
        registry.register_agent(name, f"{__name__}:Talker")
    try:
        run_bench(BenchConfig(str(folder / WORLD), AGENTS, ("uniform",), m=(3,), seeds=2), folder / "run")
    finally:
        registry._registered.clear()
        registry._registered.update(known)
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    return write_report([run], tmp_path_factory.mktemp("reports") / "report.html", shortcuts=SHORTCUTS)


@pytest.fixture(scope="module")
def source(report):
    return report.page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


@pytest.fixture
def tiny_run(tmp_path):
    """Make a small run on the tiny world."""

    def make(name="tiny", **change):
        config = BenchConfig("tiny", ("uniform", "popularity"), ("uniform",), ("selection",), (3,), seeds=1)
        run_bench(replace(config, **change), tmp_path / name)
        return tmp_path / name

    return make


class Page(HTMLParser):
    """The elements of a page, and its tables as rows of text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: dict[str, str] = {}
        self.styles: list[str] = []
        self.text: list[str] = []
        self._inside: list[tuple[str, dict]] = []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "wbr", "input", "br"):
            self._inside.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        inside = [tag for tag, _ in self._inside]
        if inside[-1:] == ["script"]:
            self.scripts[self._inside[-1][1].get("id", "")] = data
        elif inside[-1:] == ["style"]:
            self.styles.append(data)
        elif "svg" not in inside:
            self.text.append(data)
        if ("td" in inside or "th" in inside) and "svg" not in inside:
            gap = "|" if inside[-1] == "span" and self._inside[-1][1].get("class") == "range" else ""
            self.tables[-1][-1][-1] += gap + data


def blocks_of(page: Page) -> dict[str, dict]:
    """The blocks of data: heads, with columns as arrays and texts."""
    types = {"Uint8Array": "<u1", "Uint16Array": "<u2", "Uint32Array": "<u4"}
    found = {}
    for name, text in page.scripts.items():
        if not name:
            continue
        raw = gzip.decompress(base64.b64decode(text))
        size = int.from_bytes(raw[:4], "little")
        head = json.loads(raw[4 : 4 + size])
        for key, (kind, start, length) in head["columns"].items():
            data = raw[4 + size + start : 4 + size + start + length]
            head["columns"][key] = data.decode() if kind == "text" else np.frombuffer(data, types[kind])
        found[name.removeprefix("data-")] = head
    return found


# What it says


def test_the_tables_say_what_the_statistics_say(run, page):
    tables = [table for table in page.tables if table[0][0] == "agent" and "unreadable" in table[0]]
    for table, (question, by_agent) in zip(tables, read_run(run).played.items(), strict=True):
        heads, *rows = table
        scores = {name: evaluate(played) for name, played in by_agent.items()}
        best = max(SHORTCUTS, key=lambda name: scores[name].micro["accuracy"].value)
        over = {name: compare(by_agent[name], by_agent[best]) for name in by_agent if name not in SHORTCUTS}
        p = dict(zip(over, holm([lift.p for lift in over.values()]), strict=True))
        assert sorted(row[0] for row in rows) == sorted(by_agent)
        assert [r[1].split("|")[0] for r in rows] == sorted((r[1].split("|")[0] for r in rows), reverse=True)
        for name, *cells in rows:
            cell, score = dict(zip(heads[1:], cells, strict=True)), scores[name]
            for metric in score.metrics:
                shown = score.metrics[metric]
                between = f"|{interval(shown)}" if interval(shown) else ""
                assert cell[{"f1": "F1"}.get(metric, metric)] == number(shown.value) + between
            assert cell["unreadable"] == f"{100 * score.invalid:.1f} %"
            assert cell["ECE"].split("|")[0] == (
                number(score.probabilistic["ece"].value) if score.probabilistic else "-"
            )
            if question.task == "judgment":
                assert cell["base rate"] == number(score.base_rate)
                auc = score.probabilistic.get("auc")
                assert cell["AUC"].split("|")[0] == number(auc.value if auc else None)
            if name in over:
                lift = over[name].value
                assert (cell["lift"], cell["p"]) == (f"{signed(lift.value)}|{interval(lift, signed)}", p_value(p[name]))
            else:
                assert (cell["lift"], cell["p"]) == ("", "")


def test_judgments_are_averaged_both_ways(run, page):
    [table] = [table for table in page.tables if "accuracy, users" in table[0]]
    [by_agent] = [by_agent for question, by_agent in read_run(run).played.items() if question.task == "judgment"]
    for name, *cells in table[1:]:
        score = evaluate(by_agent[name])
        values = [*score.micro.values(), *score.macro.values()]
        assert [cell.split("|")[0] for cell in cells] == [number(value.value) for value in values]


def test_the_head_says_what_was_run_on_what(run, page):
    manifest = json.loads((run / "manifest.json").read_text())
    text = "".join(page.text)
    assert f"Simulated users on {WORLD}" in text
    assert "5 agents, 2 sets of questions, 60 test users, 2 seeds." in text
    protocol = next(iter(read_run(run).played.values()))["talker"][0].episodes.protocol
    for fact in (
        protocol.measures, protocol.cannot, protocol.source, protocol.hash, manifest["world_hash"],
        *manifest["episodes"].values(), *manifest["versions"].values(), manifest["started"], manifest["commit"] or "",
    ):  # fmt: skip
        assert fact in text


def test_no_folder_of_the_machine_is_named(run, tmp_path, source, monkeypatch):
    assert str(run.parent) not in source
    monkeypatch.setattr(sys, "argv", [f"{tmp_path}/bin/vrsim", "bench", "--world", "tiny", f"--out={tmp_path}/named"])
    config = BenchConfig("tiny", ("uniform",), ("uniform",), ("selection",), (3,), seeds=1)
    run_bench(config, tmp_path / "named")
    text = "".join(Page(write_report([tmp_path / "named"], tmp_path / "r.html").page.read_text()).text)
    assert "vrsim bench --world tiny --out=…/named" in text
    assert str(tmp_path) not in text


def test_a_verdict_says_who_beats_the_shortcuts(tiny_run, tmp_path):
    class Right(Agent):
        def fit(self, world, training):
            self.world = world

        def act(self, observations):
            return Decisions((observations["slate"] == self.targets(observations)[:, None]).argmax(axis=1))

        def targets(self, observations):
            user, t = observations["position"].T
            return self.world.interactions.items[self.world.interactions.offsets[user] + t]

    path = tiny_run()
    [(question, by_agent)] = read_run(path).played.items()
    right = play(Right(), by_agent["uniform"][0].episodes)
    found = find(question, {**by_agent, "right": [right]}, ["uniform", "popularity"])
    first = found.results[0]
    assert (first.name, first.shortcut, first.beats_shortcuts) == ("right", False, True)
    assert found.best_shortcut.name == "popularity"
    assert found.chance == found.always == 0.25
    pages = {
        shortcuts: "".join(Page(write_report([path], tmp_path / "r.html", shortcuts=shortcuts).page.read_text()).text)
        for shortcuts in (("popularity",), ("uniform", "popularity"), ("uniform",), ())
    }
    best = f"the best shortcut, popularity ({number(evaluate(by_agent['popularity']).metrics['accuracy'].value)})"
    assert f"uniform is not shown to do better than {best}." in pages["popularity",]
    assert f"Shortcuts only; {best}." in pages["uniform", "popularity"]
    assert "popularity is right more often than the best shortcut, uniform" in pages["uniform",]
    assert "No shortcut was run" in pages[()]


def test_a_protocol_that_goes_by_auc_is_shown_by_auc(tiny_run, tmp_path):
    path = tiny_run(
        agents=("content", "uniform", "popularity", "constant:answer=no"), protocols=("tallrec",), tasks=("judgment",)
    )
    shortcuts = ["popularity", "constant:answer=no"]
    page = Page(write_report([path], tmp_path / "r.html", shortcuts=shortcuts).page.read_text())
    [by_agent] = read_run(path).played.values()
    [heads, *rows] = next(table for table in page.tables if "unreadable" in table[0])
    assert heads[:4] == ["agent", "AUC", "accuracy", "lift"]
    cells = {name: dict(zip(heads[1:], row, strict=True)) for name, *row in rows}
    scores = {name: evaluate(played) for name, played in by_agent.items()}
    found = lifts({name: by_agent[name] for name in ("content", "uniform")}, by_agent["popularity"])
    for name, lift in found.items():
        assert cells[name]["AUC"].split("|")[0] == number(scores[name].probabilistic["auc"].value)
        assert cells[name]["lift"].split("|")[0] == signed(lift.difference.value.value)
        assert cells[name]["p"] == p_value(lift.p)
    assert rows[-1][:2] == ["constant:answer=no", "-"]
    svg = (tmp_path / "r-pictures" / "01-tallrec-judgment.score.svg").read_text()
    assert ">AUC</text>" in svg
    assert "constant" not in svg
    assert "Lift: AUC minus that of the best shortcut." in "".join(page.text)


def test_shortcuts_that_are_in_no_run_can_be_added(tiny_run, tmp_path):
    path = tiny_run(agents=("uniform",))
    [(question, by_agent)] = read_run(path).played.items()
    episodes = by_agent["uniform"][0].episodes
    extra = {question: {"popularity:order=least": [play(make_agent("popularity:order=least"), episodes)]}}
    page = Page(write_report([path], tmp_path / "r.html", shortcuts=(), shortcut_runs=extra).page.read_text())
    rows = {
        attributes["class"].split()[0] for tag, attributes in page.elements if tag == "tr" and "class" in attributes
    }
    assert "shortcut" in rows
    assert "the best shortcut, popularity:order=least" in "".join(page.text)
    assert blocks_of(page)["index"]["sets"][0]["shortcuts"].count(True) == 1


def test_the_shortcuts_of_the_registry_are_those_of_a_report(tiny_run, tmp_path):
    page = Page(write_report([tiny_run()], tmp_path / "r.html").page.read_text())
    index = blocks_of(page)["index"]["sets"][0]
    expected = [name in registry.shortcuts() for name in index["agents"]]
    assert index["shortcuts"] == expected
    assert any(expected)


def test_runs_are_put_together(tiny_run, tmp_path):
    one, two = tiny_run("one"), tiny_run("two", agents=("popularity", "constant"))
    page = Page(write_report([one, two], tmp_path / "r.html", shortcuts=["popularity"]).page.read_text())
    index = blocks_of(page)["index"]["sets"]
    assert len(index) == 1
    assert sorted(index[0]["agents"]) == ["constant", "popularity (one)", "popularity (two)", "uniform"]
    marked = dict(zip(index[0]["agents"], index[0]["shortcuts"], strict=True))
    assert [name for name, shortcut in marked.items() if shortcut] == sorted(n for n in marked if n.startswith("pop"))
    assert {"Run one", "Run two"} <= {re.sub(r"\s+", " ", t) for t in re.findall(r"Run \w+", "".join(page.text))}


def test_a_world_with_one_test_user_has_a_report_without_intervals(tmp_path):
    build(tmp_path / "world", hostile_data(users=2), BuildConfig(recommender="transitions"))
    config = BenchConfig(str(tmp_path / "world"), ("uniform", "popularity"), ("uniform",), m=(3,), seeds=1)
    run_bench(config, tmp_path / "run")
    report = write_report([tmp_path / "run"], tmp_path / "r.html")
    assert {file.name.split(".")[1] for file in report.pictures} == {"score", "agreement", "calibration"}


# The data of the browser


def test_the_browser_is_given_every_question_and_decision_once(run, page):
    played, blocks = read_run(run).played, blocks_of(page)
    labels = blocks["items"]["labels"]
    catalog = next(iter(played.values()))["talker"][0].episodes.world.catalog
    for i, (question, by_agent) in enumerate(played.items()):
        told, columns = blocks["index"]["sets"][i], blocks[f"set{i}"]["columns"]
        histories, words = blocks[f"histories{told['group']}"], blocks[f"words{i}"]["columns"]
        assert told["title"] == str(question)
        assert sorted(told["agents"]) == sorted(by_agent)
        assert [name for name, short in zip(told["agents"], told["shortcuts"], strict=True) if short] == [
            name for name in told["agents"] if name in SHORTCUTS
        ]
        for seed in range(2):
            episodes = by_agent["talker"][seed].episodes
            row = columns[f"position{seed}"]
            shown = histories["columns"]["history"].reshape(-1, histories["length"])[row]
            assert len(histories["columns"]["t"]) == len(np.unique(episodes.positions, axis=0))
            assert (histories["columns"]["t"][row] == episodes.positions[:, 1]).all()
            assert (columns[f"answer{seed}"] == episodes.answers).all()
            items = [catalog.label(k) if k else "" for k in range(catalog.n_items + 1)]
            for mine, real in ((shown, episodes.histories), (columns[f"slate{seed}"], episodes.slates)):
                assert [labels[k] for k in mine.ravel()] == [cut(items[k], 300) for k in real.ravel()]
            for agent, name in enumerate(told["agents"]):
                decisions = by_agent[name][seed].decisions
                assert (columns[f"action{seed}.{agent}"] == decisions.action).all()
                valid = columns.get(f"valid{seed}.{agent}", np.ones(len(episodes), np.uint8))
                assert (valid.astype(bool) == decisions.valid).all()
                if decisions.probability is None:
                    assert f"chance{seed}.{agent}" not in columns
                else:
                    stated = columns[f"chance{seed}.{agent}"].reshape(len(episodes), -1) / 1000
                    assert np.abs(stated - decisions.probability).max() <= 0.0005
                if name in SHORTCUTS:
                    assert f"words{seed}.{agent}" not in words
                    continue
                said = words[f"words{seed}.{agent}"].split("\x1f")
                assert said == [visible(text[:LONGEST]) for text in decisions.text]
                more = [max(0, len(text) - LONGEST) for text in decisions.text]
                assert words[f"more{seed}.{agent}"].tolist() == more
                assert max(more) == 1_000_000 - LONGEST


@pytest.mark.parametrize(("largest", "kind"), [(0, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (65536, "u4")])
def test_integers_take_as_few_bytes_as_they_need(largest, kind):
    column = narrow(np.array([[0, largest]]))
    assert column.dtype.str[1:] == kind
    assert column.tolist() == [0, largest]


def test_an_empty_column_is_no_problem():
    assert gzip.decompress(pack({}, {"empty": np.zeros(0, np.int64), "none": ""}))


def test_a_page_that_would_be_too_large_cuts_words_and_says_so(tmp_path, monkeypatch):
    class Random(Agent):
        def act(self, observations):
            rng = np.random.default_rng(int(observations["position"].sum()))
            words = [rng.bytes(1500).hex() for _ in observations["slate"]]
            return Decisions(np.zeros(len(words), np.int64), None, words)

    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setitem(globals(), "Random", Random)
    registry.register_agent("random", f"{__name__}:Random")
    config = BenchConfig("tiny", ("random", "constant"), ("uniform",), m=(3,), seeds=2)
    run_bench(config, tmp_path / "run")
    whole = write_report([tmp_path / "run"], tmp_path / "whole.html")
    assert whole.notes == ()
    largest = whole.page.stat().st_size - 600_000
    monkeypatch.setattr(sys.modules[package], "LEAST", 0)
    monkeypatch.setattr(sys.modules[package], "LARGEST", largest)
    small = write_report([tmp_path / "run"], tmp_path / "small.html")
    assert small.page.stat().st_size <= largest
    source = Page(small.page.read_text())
    assert re.fullmatch(r"Agents' words are cut at [\d,]+ characters\.", small.notes[0])
    assert small.notes[0] in "".join(source.text)
    limit = int(re.sub(r"\D", "", small.notes[0]))
    said = blocks_of(source)["words0"]["columns"]
    texts = [text for name in said if name.startswith("words") for text in said[name].split("\x1f")]
    assert max(map(len, texts)) == limit < LONGEST
    bare = small.page.stat().st_size - sum(len(text) for name, text in source.scripts.items() if name)
    monkeypatch.setattr(sys.modules[package], "MARGIN", 0)
    monkeypatch.setattr(sys.modules[package], "LARGEST", bare + 8_000)
    least = write_report([tmp_path / "run"], tmp_path / "least.html")
    assert "Here are the first" in least.notes[0]
    assert "Agents' words are left out." in least.notes
    sets = blocks_of(Page(least.page.read_text()))
    assert 1 <= len(sets["set0"]["columns"]["answer0"]) < 200


def test_a_whole_report_is_much_smaller_than_the_limit(report):
    assert report.page.stat().st_size < LARGEST / 10
    assert report.notes == ()


# Hostile text


@pytest.mark.parametrize("text", [*HOSTILE[:6], WORLD, "<u>"])
def test_no_hostile_text_stands_in_the_page_as_it_is(source, text):
    assert text not in source


def test_nothing_in_the_page_hides_or_reorders_text(source):
    assert visible(source) == source


def test_the_page_has_only_elements_and_attributes_of_its_own(page):
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"iframe", "object", "embed", "link", "base", "img", "image", "foreignobject", "b", "i", "u"}
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert [a for a in scripts if a.get("type") != "application/gzip"] == [{}]
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcset", "action", "formaction", "background", "poster")
            if name in ("href", "xlink:href"):
                assert re.match(r"#[\w-]+$|report-pictures/[\w.-]+\.(png|svg)$", value), (tag, value)


def test_names_of_agents_are_text_in_tables_and_pictures(source, report):
    shown = html.escape("talker:style=<img src=x onerror=alert(1)>", quote=False)
    assert re.sub("<wbr>", "", source).count(shown) > 4
    svg = next(file for file in report.pictures if file.name.endswith("score.svg")).read_text()
    assert "talker:style=&lt;img src=x onerror=alert(1)&gt;" in svg
    assert "_odd name:style=$x^2$</text>" in svg


def test_the_policy_allows_this_style_and_this_script_and_nothing_else(page):
    [policy] = [a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (page.scripts[""], *page.styles)
    ]
    assert rules == {
        "default-src": "'none'", "script-src": hashes[0], "style-src": hashes[1], "img-src": "data:",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


def test_ids_are_unique_and_references_lead_somewhere(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    values = [value for _, attributes in page.elements for value in attributes.values() if value]
    links = {value[1:] for value in values if re.match(r"#[a-z]\w*-|#set\d", value)}
    links |= {link for value in values for link in re.findall(r"url\(#([^)]+)\)", value)}
    assert links
    assert links <= set(ids)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode \U0001f600 \u05e9", "plain ünïcode \U0001f600 \u05e9"),
        ("a\u202eb\u2066c\u200f", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200F⟩"),
        ("\x00\x1f\x7f\x9b", "⟨U+0000⟩⟨U+001F⟩⟨U+007F⟩⟨U+009B⟩"),
        ("\ud800 \udfff", "⟨U+D800⟩ ⟨U+DFFF⟩"),
        ("one\r\ntwo\rthree\n\t", "one\ntwo⟨U+000D⟩three\n\t"),
        ("\ufeff\u2028\ufffe\U000e0041", "⟨U+FEFF⟩⟨U+2028⟩⟨U+FFFE⟩⟨U+E0041⟩"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("vrsim bench --seeds 2", "vrsim bench --seeds 2"),
        ("/home/me/.venv/bin/vrsim bench", "vrsim bench"),
        (r"C:\Users\me\vrsim.exe bench --out D:\runs\mine", "vrsim.exe bench --out …/mine"),
        ("vrsim bench --world ~/worlds/mine --out=/data/x,y", "vrsim bench --world …/mine --out=…/x,y"),
        ("vrsim bench --agent llm:org/model --out runs/a", "vrsim bench --agent llm:org/model --out runs/a"),
        ("", ""),
    ],
)
def test_commands_are_shown_without_the_folders_of_the_machine(command, shown):
    assert shorten_paths(command) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.6472, ".647"), (1.0, "1.00"), (0.0, ".000"), (-0.25, "\N{MINUS SIGN}.250"), (-0.0001, ".000"), (None, "-")],
)
def test_numbers_have_three_digits(value, shown):
    assert number(value) == shown
    assert number(float("nan")) == "-"


def test_differences_have_a_sign_and_small_p_a_bound():
    estimate = Estimate(0.02, -0.01, 0.05)
    assert (signed(0.02), signed(0.0), signed(-0.02)) == ("+.020", ".000", "\N{MINUS SIGN}.020")
    assert interval(estimate, signed) == "\N{MINUS SIGN}.010 to +.050"
    assert interval(Estimate(0.5, 0.25, 0.75)) == ".250\N{EN DASH}.750"
    assert interval(Estimate(0.5, float("nan"), float("nan"))) == ""
    assert (p_value(0.0004), p_value(0.0124), p_value(1)) == ("< .001", ".012", "1.00")


# Files


def contents(report) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in report.files}


def test_equal_runs_give_equal_bytes_whatever_style_is_set(run, report, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": None, "lines.linewidth": 9}):
        again = write_report([run], tmp_path / "report.html", shortcuts=SHORTCUTS)
    assert contents(again) == contents(report)


def test_pictures_lie_beside_the_page_in_both_formats(report, source):
    assert {file.parent for file in report.pictures} == {report.page.parent / "report-pictures"}
    assert sorted(report.page.parent.rglob("*.*g")) == sorted(report.pictures)
    kinds = {file.name.removeprefix("01-uniform-judgment.") for file in report.pictures if file.name.startswith("01")}
    kinds_expected = {"score", "activity", "calibration", "agreement"}
    assert kinds <= {f"{kind}.{form}" for kind in kinds_expected for form in ("png", "svg")}
    for file in report.pictures:
        start = b"\x89PNG\r\n" if file.suffix == ".png" else b"<?xml"
        assert file.read_bytes().startswith(start)
        assert f'href="report-pictures/{file.name}"' in source
    assert sum(tag == "svg" and a.get("role") == "img" for tag, a in Page(source).elements) == len(report.pictures) / 2


def test_every_picture_has_a_description(page):
    drawings = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]
    assert drawings
    assert all(len(attributes["aria-label"]) > 40 for attributes in drawings)


def test_activity_groups_and_calibration_are_drawn_where_there_is_something_to_show(tiny_run, tmp_path):
    kinds = {
        agent: {
            file.name.split(".")[1]
            for file in write_report([tiny_run(agent, agents=(agent,))], tmp_path / "r.html").pictures
        }
        for agent in ("constant", "uniform")
    }
    assert kinds == {"constant": {"score", "activity"}, "uniform": {"score", "activity", "calibration"}}


def test_a_report_replaces_an_earlier_one_and_nothing_else(run, tiny_run, tmp_path):
    out = tmp_path / "report.html"
    first = write_report([run], out, shortcuts=SHORTCUTS)
    other = tmp_path / "report-pictures" / "mine.png"
    other.write_bytes(b"mine")
    second = write_report([tiny_run()], out)
    assert out.read_text() != first
    assert set((tmp_path / "report-pictures").iterdir()) == {*second.pictures, other}
    assert not list(tmp_path.glob(".*"))


def test_a_report_that_fails_leaves_the_earlier_one_alone(tiny_run, tmp_path, monkeypatch):
    out, path = tmp_path / "report.html", tiny_run()
    out.write_text("before")
    (tmp_path / "report-pictures").write_text("a file where the folder should be")
    with pytest.raises(ResultsError, match=r"report-pictures.*cannot be written"):
        write_report([path], out)
    assert out.read_text() == "before"
    (tmp_path / "report-pictures").unlink()

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        write_report([path], out)
    assert out.read_text() == "before"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_the_folder_of_a_report_is_made(tiny_run, tmp_path):
    assert write_report([tiny_run()], tmp_path / "a" / "b" / "report.html").page.exists()


def test_progress_goes_from_nothing_to_done(tiny_run, tmp_path):
    told = []
    write_report([tiny_run()], tmp_path / "r.html", lambda done, total, what: told.append((done / total, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], told[0][1], shares[-1], told[-1][1]) == (0, "reading tiny", 1, "done")


# Errors


def test_what_cannot_be_reported_is_refused(tiny_run, tmp_path):
    path = tiny_run()
    with pytest.raises(ResultsError, match=r"expected a name like report.html, found 'report.pdf'"):
        write_report([path], tmp_path / "report.pdf")
    with pytest.raises(ResultsError, match="at least one run folder"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(ResultsError, match="is not a run"):
        write_report([tmp_path / "nothing"], tmp_path / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ResultsError, match="is a folder"):
        write_report([path], tmp_path / "folder.html")
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["command"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultsError, match="lacks command"):
        write_report([path], tmp_path / "report.html")
    (path / "manifest.json").write_text(json.dumps(manifest | {"finished": False}))
    with pytest.raises(ResultsError, match="not finished"):
        write_report([path], tmp_path / "report.html")
    assert not list(tmp_path.glob("report*"))


def test_shortcuts_asked_something_else_are_refused(tiny_run, tmp_path):
    path, other = tiny_run(), tiny_run("other", protocols=("rank-matched",))
    [question] = read_run(path).played
    [strange] = read_run(other).played.values()
    with pytest.raises(ResultsError, match="different questions"):
        write_report([path], tmp_path / "r.html", shortcuts=(), shortcut_runs={question: {"odd": strange["uniform"]}})
    [by_agent] = read_run(path).played.values()
    [whole] = by_agent["uniform"]
    half = replace(whole, index=whole.index[::-1])
    with pytest.raises(ResultsError, match="one decision per episode, in order"):
        write_report([path], tmp_path / "r.html", shortcuts=(), shortcut_runs={question: {"odd": [half]}})


def test_without_matplotlib_the_message_says_what_to_install(tiny_run, tmp_path, monkeypatch):
    path = tiny_run()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match=r"pip install 'vrsim\[report\]'"):
        write_report([path], tmp_path / "r.html")

"""The page in a real browser: filters count right, nothing is fetched, hostile text stays text.

Needs Playwright and a Chromium that is installed; Playwright's own is not downloaded.
"""

import re
import shutil

import pytest

from tests.reports import AGENTS, HOSTILE, WORLD
from vrsim.report.plain_text import cut, visible
from vrsim.report.word_blocks import LONGEST
from vrsim.runs import read_run

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
SIDEWAYS = "[document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth]"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def played(run):
    return read_run(run).played


@pytest.fixture
def visit(browser, report):
    """Open the page without a network; whatever it does that it should not fails the test."""
    opened = []

    def visit(width=1280, height=900, wait="article", **context):
        where = browser.new_context(viewport={"width": width, "height": height}, offline=True, **context)
        page, wrong = where.new_page(), []
        opened.append((where, wrong))
        address = report.page.resolve().as_uri()
        page.on("request", lambda request: request.url == address or wrong.append(f"request {request.url}"))
        page.on("console", lambda message: wrong.append(f"console {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        page.on("dialog", lambda dialog: (wrong.append("dialog"), dialog.dismiss()))
        page.goto(address)
        page.wait_for_selector(wait, state="attached")
        page.set_default_timeout(5000)
        return page

    yield visit
    for where, wrong in opened:
        where.close()
        assert wrong == []


def choose(page, **fields):
    """Set filters by their names: set and seed by place, others by value."""
    for name, value in fields.items():
        field = page.locator(f"#filter-{name}")
        if name == "disagree":
            field.set_checked(value)
        elif name == "query":
            field.fill(value)
        else:
            field.select_option(str(value))
    page.locator("#count", has_text="episodes").wait_for()  # no wait_for_function, which the policy does not allow


def shown(page) -> tuple[int, int]:
    """How many episodes pass, and of how many."""
    text = page.locator("#count").inner_text().replace(",", "")
    return tuple(map(int, re.fullmatch(r"(\d+) of (\d+) episodes", text).groups()))


def numbers(page) -> list[int]:
    """The numbers of all episodes that pass, page by page."""
    found = []
    page.locator("#first").click() if page.locator("#first").is_enabled() else None
    while True:
        heads = page.locator("article h3").all_inner_texts()
        found += [int(re.match(r"Episode (\d+) ", head)[1]) for head in heads]
        if page.locator("#next").is_disabled():
            return found
        page.locator("#next").click()


def agents_of(page) -> list[str]:
    """Agents in the order of the page."""
    return page.locator("#filter-agent option").all_inner_texts()[2:]


def outcome(by_agent, name, seed, i) -> str:
    run = by_agent[name][seed]
    return "unreadable" if not run.decisions.valid[i] else "right" if run.correct[i] else "wrong"


def episodes_with(by_agent, seed, agent="any", answer="") -> list[int]:
    """What a filter should let through, worked out from the records; episodes counted from 1."""
    names = list(by_agent) if agent in ("any", "every") else [agent]
    together = all if agent == "every" else any
    wanted = {"": {"right", "wrong", "unreadable"}, "wrong": {"wrong", "unreadable"}}.get(answer, {answer})
    count = len(by_agent[names[0]][seed].index)
    return [i + 1 for i in range(count) if together(outcome(by_agent, n, seed, i) in wanted for n in names)]


# Filters


@pytest.mark.parametrize("place", [0, 1])
def test_every_agent_and_answer_is_counted_as_in_the_records(visit, played, place):
    page, by_agent = visit(), list(played.values())[place]
    choose(page, set=place)
    names = agents_of(page)
    assert sorted(names) == sorted(AGENTS)
    for seed in (0, 1):
        choose(page, seed=seed)
        for value, agent in [("any", "any"), ("every", "every"), *enumerate(names)]:
            for answer in ("", "right", "wrong", "unreadable"):
                choose(page, agent=value, outcome=answer)
                expected = episodes_with(by_agent, seed, agent, answer)
                assert shown(page) == (len(expected), len(by_agent["talker"][seed].index)), (agent, answer)


@pytest.mark.parametrize("answer", ["right", "unreadable"])
def test_the_episodes_that_are_listed_are_those(visit, played, answer):
    page, by_agent = visit(), list(played.values())[1]
    choose(page, set=1, seed=1)
    choose(page, agent=agents_of(page).index("talker"), outcome=answer)
    assert numbers(page) == episodes_with(by_agent, 1, "talker", answer)


def test_disagreement_is_found(visit, played):
    page, by_agent = visit(), list(played.values())[1]
    choose(page, set=1, disagree=True)
    decided = [
        {int(run.decisions.action[i]) if run.decisions.valid[i] else -1 for run in (by_agent[n][0] for n in by_agent)}
        for i in range(len(by_agent["talker"][0].index))
    ]
    assert numbers(page) == [i + 1 for i, found in enumerate(decided) if len(found) > 1]


@pytest.mark.parametrize(
    "query", ["SCRIPT>window", "日本語", "u+202e", "film", "zzz", "yyy", "as i said", "&amp;", "11", "odd", "nowhere"]
)
def test_search_finds_titles_and_words_and_nothing_else(visit, played, query):
    page, by_agent = visit(), list(played.values())[1]
    choose(page, set=1, query=query)
    episodes, wanted = by_agent["talker"][0].episodes, query.lower()
    label, expected = episodes.world.catalog.label, []
    for i in range(len(episodes)):
        texts = [cut(label(k), 300) for k in (*episodes.slates[i], *episodes.histories[i]) if k]
        texts += [visible(run.decisions.text[i][:LONGEST]) for [run, _] in by_agent.values() if run.decisions.text]
        if any(wanted in text.lower() for text in texts):
            expected.append(i + 1)
    assert numbers(page) == expected
    assert page.locator("article mark").count() > 0 or not expected


def test_filters_work_together_and_can_be_cleared(visit, played):
    page, by_agent = visit(), next(iter(played.values()))
    whole = shown(page)
    choose(page, agent=agents_of(page).index("talker"), outcome="wrong", disagree=True, query="a")
    some = numbers(page)
    assert 0 < len(some) < whole[1]
    assert set(some) <= set(episodes_with(by_agent, 0, "talker", "wrong"))
    page.locator("#reset").click()
    assert shown(page) == whole == (len(by_agent["talker"][0].index),) * 2


def test_nothing_that_passes_is_said(visit):
    page = visit()
    choose(page, query="there is no such title")
    assert "No episode passes" in page.locator("#episodes").inner_text()
    assert page.locator("#next").is_disabled()
    assert page.locator("#where").inner_text() == "page 1 of 1"


def test_the_chosen_agent_stays_chosen_in_another_set(visit):
    page = visit()
    choose(page, agent=agents_of(page).index("popularity"))
    choose(page, set=1)
    assert page.locator("#filter-agent option:checked").inner_text() == "popularity"


# Pages


def test_every_episode_stands_on_one_page(visit):
    page = visit()
    count = shown(page)[1]
    assert numbers(page) == list(range(1, count + 1))
    page.locator("#previous").click()
    assert page.locator("#where").inner_text() == f"page {-(-count // 10) - 1} of {-(-count // 10)}"
    page.locator("#first").click()
    page.locator("#filter-per").select_option("50")
    assert page.locator("article").count() == 50
    page.locator("#last").click()
    assert page.locator("article").count() == (count % 50 or 50)
    page.locator("#filter-per").select_option("10")
    assert page.locator("article h3").first.inner_text().startswith(f"Episode {(count - 1) // 50 * 50 + 1} ")


def test_keys_lead_through_episodes_and_pages(visit):
    page = visit()
    focused = "document.activeElement.querySelector('h3')?.textContent.match(/Episode (\\d+)/)[1]"
    page.locator("article").first.focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate(focused) == "3"
    page.keyboard.press("k")
    assert page.evaluate(focused) == "2"
    page.keyboard.press("n")
    assert page.evaluate(focused) == "11"
    page.keyboard.press("p")
    assert page.evaluate(focused) == "1"
    page.keyboard.press("/")
    page.keyboard.type("jnkp/")
    assert page.locator("#filter-query").input_value() == "jnkp/"


def test_everything_can_be_reached_with_the_tab_key(visit):
    page = visit()
    page.locator("#filter-set").focus()
    reached = []
    for _ in range(12):
        reached.append(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert reached[:7] == [
        "filter-set", "filter-seed", "filter-agent", "filter-outcome", "filter-query", "filter-disagree", "reset"
    ]  # fmt: skip
    assert {"next", "last", "filter-per"} <= set(reached)


# One episode


def test_an_episode_shows_the_question_the_truth_and_every_decision(visit, played):
    page, by_agent = visit(), list(played.values())[1]
    choose(page, set=1)
    episodes = by_agent["talker"][0].episodes
    label = episodes.world.catalog.label
    for i in range(5):
        card = page.locator("article").nth(i)
        user, t = episodes.positions[i].tolist()
        assert visible(f"user {episodes.world.users[user].as_py()}, after {t} interactions") in card.inner_text()
        card.locator(".history summary").click()
        history = [cut(label(k), 300) for k in episodes.histories[i].tolist() if k]
        assert card.locator(".history li").evaluate_all("all => all.map((e) => e.textContent)") == history
        places = card.locator(".places li")
        titles = places.locator(".title > span:first-child").evaluate_all("all => all.map((e) => e.textContent)")
        slate = [f"{k + 1}. {cut(label(item), 300)}" for k, item in enumerate(episodes.slates[i].tolist())]
        assert titles[:4] == slate
        truth = [places.nth(k).locator(".truth").count() for k in range(4)]
        assert truth == [int(k == episodes.answers[i]) for k in range(4)]
        assert places.evaluate_all("all => all.map((e) => e.className === 'true')")[:4] == [n == 1 for n in truth]
        for name, (run, _) in by_agent.items():
            place = run.decisions.action[i] if run.decisions.valid[i] else 4
            chips = places.nth(place).locator(".chip").filter(has=page.get_by_text(name, exact=True))
            text = chips.evaluate("chip => chip.textContent")
            sign = {"right": "✓", "wrong": "✗", "unreadable": "?"}[outcome(by_agent, name, 0, i)]
            assert text.startswith(f"{sign} {name}")
            if run.decisions.probability is not None:
                stated = run.decisions.probability[i][run.decisions.action[i]]
                assert abs(float(text.removeprefix(f"{sign} {name} ")) - stated) <= 0.0005
        said = {name: runs[0].decisions.text[i] for name, runs in by_agent.items() if runs[0].decisions.text}
        for name in agents_of(page):
            if not said.get(name):
                continue
            body = card.locator(".said").filter(has=page.locator("summary", has_text=name).first)
            words = body.locator(".words bdi").first.evaluate("e => e.textContent")
            assert words in {visible(text[:LONGEST]) for text in said.values()}


def test_a_judgment_shows_the_item_and_the_probability_of_yes(visit, played):
    page, by_agent = visit(), next(iter(played.values()))
    episodes, run = by_agent["talker"][0].episodes, by_agent["talker"][0]
    for i in range(5):
        card = page.locator("article").nth(i)
        title = cut(episodes.world.catalog.label(int(episodes.slates[i, 0])), 300)
        assert card.locator(".asked").evaluate("e => e.textContent") == f"Asked: {title}"
        places = card.locator(".places .title").all_inner_texts()
        assert [place.split()[0] for place in places[:2]] == ["Yes", "No"]
        assert "truth" in places[0 if episodes.answers[i] else 1]
        chip = card.locator(".chip").filter(has=page.get_by_text("talker", exact=True)).inner_text()
        assert abs(float(re.search(r"p\(Yes\) ([\d.]+)", chip)[1]) - run.decisions.probability[i, 0]) <= 0.0005


def test_words_that_were_cut_say_how_much_is_missing(visit):
    page = visit()
    choose(page, query="z" * 50)
    note = page.locator(".said .note").first.inner_text()
    assert f"the records hold {1_000_000 - LONGEST:,} more characters" in note
    assert page.locator(".words").first.evaluate("e => e.textContent.length") < LONGEST + 100


def test_only_the_chosen_agent_speaks_and_is_marked(visit):
    page = visit()
    place = agents_of(page).index("talker")
    choose(page, agent=place)
    speakers = set(page.locator(".said summary").all_inner_texts())
    assert speakers == {"talker said"}
    assert page.locator(".chip.own").count() == page.locator("article").count()


# Nothing but text


def test_hostile_text_is_shown_and_does_nothing(visit):
    page = visit()
    page.locator("#filter-per").select_option("50")
    body = page.evaluate("document.body.textContent")
    for text in (*HOSTILE, *AGENTS, WORLD, "\ud800 alone", "<u>0</u>"[:3]):
        assert visible(text) in body
    assert page.evaluate("window.hacked") is None
    own = {"BDI", "MARK", "SPAN", "SMALL", "H3", "DETAILS", "SUMMARY", "OL", "LI", "UL", "P", "DIV", "ARTICLE"}
    assert set(page.evaluate("[...document.querySelectorAll('#episodes *')].map((e) => e.tagName)")) <= own
    assert (
        page.evaluate("document.querySelectorAll('img, iframe, object, embed, link, [onerror], [onmouseover]').length")
        == 0
    )
    assert page.evaluate("[...document.scripts].filter((s) => !s.type).length") == 1


def test_nothing_on_the_page_reorders_text(visit):
    page = visit()
    texts = page.evaluate("document.documentElement.textContent + [...document.querySelectorAll('*')].map("
                          "(e) => [...e.attributes].map((a) => a.value).join()).join()")  # fmt: skip
    assert visible(texts) == texts
    names = "#episodes .chip, #episodes .title, #episodes .asked, main table tbody th"
    unkept = page.evaluate(
        f"[...document.querySelectorAll('{names}')].filter((e) => !e.querySelector('bdi, a') && !/^(Yes|No|no )/.test("
        "e.textContent)).map((e) => e.textContent)"
    )
    assert unkept == []


def test_the_policy_stops_what_would_get_in(browser, report):
    page = browser.new_page()
    page.goto(report.page.resolve().as_uri())
    page.wait_for_selector("article")
    fetched, stopped = [], []
    page.on("requestfinished", lambda request: fetched.append(request.url))
    page.on("requestfailed", lambda request: stopped.append(request.failure))
    page.evaluate("""() => {
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked = 1'>");
        document.body.insertAdjacentHTML("beforeend", "<p id=styled style='color: red'>x</p>");
        const script = document.createElement("script");
        script.textContent = "window.hacked = 2";
        document.body.append(script);
    }""")
    assert page.evaluate("fetch('https://example.org').then(() => 1, () => 0)") == 0
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    assert fetched == []
    assert set(stopped) <= {"csp"}
    page.close()


# Looks


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_is_not_wider_than_the_screen(visit, width):
    page = visit(width)
    assert max(page.evaluate(SIDEWAYS)) == width
    for details in page.locator("details").all()[:40]:
        details.evaluate("e => { e.open = true; }")
    choose(page, set=1)
    page.locator("#filter-per").select_option("50")
    assert max(page.evaluate(SIDEWAYS)) == width


def test_a_phone_has_fields_that_a_finger_can_hit_and_no_zoom(visit):
    page = visit(360, 740, is_mobile=True, has_touch=True)
    assert page.evaluate("window.visualViewport.scale") == 1
    assert max(page.evaluate(SIDEWAYS)) == 360
    fields = page.locator("#filters select, #filters input[type=search], button")
    heights = fields.evaluate_all("all => all.map((e) => e.offsetHeight)")
    assert min(heights) >= 40


def test_it_is_light_or_dark_as_the_reader_likes(visit):
    def brightness(scheme):
        page = visit(color_scheme=scheme)
        colours = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color, "
            "getComputedStyle(document.querySelector('figure svg text')).fill]"
        )
        return [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]

    ground, text, drawn = brightness("light")
    assert ground > 700 > 200 > text == drawn
    ground, text, drawn = brightness("dark")
    assert ground < 100 < 600 < text == drawn


def test_every_field_and_table_has_a_name(visit):
    page = visit()
    fields = page.locator("input, select, button")
    assert all(fields.evaluate_all("all => all.map((e) => e.labels?.length || e.ariaLabel || e.textContent)"))
    regions = page.locator("[role=region]")
    assert regions.count() == page.locator("table").count()
    assert all(regions.evaluate_all("all => all.map((e) => e.ariaLabel)"))


def test_without_scripts_the_page_says_so(visit):
    page = visit(java_script_enabled=False, wait="noscript")
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    assert page.locator("table").count() > 2

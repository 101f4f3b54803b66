"""The charts of the app's own page in a real browser: address, zoom, legend, labels, marks of applies, hints.

The figures are the test's, in the form of the API's documented models.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browsers import Window, browser
from orchestrator import serving
from rows import each_row

pytestmark = pytest.mark.lab

END = 1_795_600_000
SPANS = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
LONG = "とても長い名前のプロバイダー、東京リージョンの予備系統その二"
AT_THE_TOP = """() => [...document.querySelectorAll('.panel:has(.chart)')].map((panel) => {
  const [chart, title] = ['.chart', 'h3'].map((part) => panel.querySelector(part).getBoundingClientRect());
  return chart.top - title.bottom;
}).filter((gap) => gap > 16)"""
"""Gaps between a panel's title and its chart, where a long legend beside it makes the panel high."""
NO_OVERFLOW = "document.documentElement.scrollWidth <= innerWidth"
CUT = """() => [...document.querySelectorAll('svg.chart')].flatMap((chart) => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('text')].filter((text) => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - .5 || own.right > box.right + .5
      || own.top < box.top - .5 || own.bottom > box.bottom + .5;
  }).map((text) => text.textContent);
})"""
MEETING = """() => [...document.querySelectorAll('svg.chart')].flatMap((chart) => {
  const own = (text) => !text.matches('.bound') && !text.closest('.apply');
  const below = [...chart.querySelectorAll('text.axis')].filter(own);
  const boxes = below.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
  return boxes.flatMap(([one, a], n) => boxes.slice(n + 1).filter(([, b]) => meet(a, b))
    .map(([two]) => `${one} / ${two}`));
})"""


def words(text: str, ja: str = "") -> dict[str, str]:
    return {"ja": ja or text, "en": text}


def panel(title: str, unit: str, origin: str = "questions", **more: Any) -> dict[str, Any]:
    plain = {
        "title": words(title), "description": words(""), "kind": "timeseries", "width": 12, "unit": unit,
        "min": 0, "max": None, "shows": "value", "bad": "above", "warning": None, "critical": None,
        "alerts": [], "origin": origin,
    }  # fmt: skip
    return plain | more


PANELS = (
    panel("Response time", "s", warning=20, critical=30),
    panel("Waiting", "none"),
    panel("Cost per hour", "currencyUSD"),
    panel("Network", "Bps"),
    panel("Backups", "none", origin="backups"),
    panel("Quality", "percentunit", origin="questions"),
)
SERIES: tuple[dict[str, Callable[[float], float]], ...] = (
    {
        name: lambda t, n=n: 12 + 4 * n + 5 * math.sin(t / 700)
        for n, name in enumerate(("sim-a", "sim-b", LONG))
    },  # type: ignore[misc]
    {"app-1": lambda t: t // 1200 % 3},
    {"app-1": lambda t: 1_234_567.89 + t % 1000},
    {"eth0": lambda t: 98_765_432 + t % 5000},
    {},
    {},
)
CATALOGUE = {
    "prometheus": "ready", "spans": list(SPANS), "variables": {"instance": ["app-1"], "provider": ["sim-a"]},
    "dashboards": [
        {"name": name, "title": words(f"TechSapo {name}"), "description": words(""),
         "choices": ["instance", "provider"] if name == "main" else ["instance"],
         "rows": [{"title": words("All"), "height": 8, "panels": list(PANELS)}]}
        for name in ("main", "cost")
    ],
}  # fmt: skip
APPLIES = [
    {"number": 41, "time": END - 2400, "user": "hanako", "command": "up", "result": "ok"},
    {"number": 42, "time": END - 900, "user": "taro", "command": "rollback", "result": "failed"},
]

EVENTS = [
    {
        "text": "deployed shop <b>v12</b> to all of the hosts",
        "time": END - 1500,
        "service": "shop",
        "host": "",
        "by": "jiro",
    },
]


def figures(query: dict[str, list[str]]) -> dict[str, Any]:
    span = SPANS[query.get("span", ["1h"])[0]]
    end = int(query.get("to", [END])[0])
    span = end - int(query["from"][0]) if "from" in query else span
    times = [end - span + n * span / 60 for n in range(61)]
    told = [
        {
            "error": None,
            "series": [{"legend": words(k), "values": [f(t) for t in times]} for k, f in s.items()],
        }
        for s in SERIES
    ]
    inside = [a for a in APPLIES if times[0] <= float(str(a["time"])) <= end]
    return {
        "span": "1h",
        "step": span / 60,
        "times": times,
        "panels": told,
        "applies": inside,
        "events": EVENTS,
    }


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("app"), monitoring={"prometheus": {"enabled": False}}) as app:
        yield app.url


@pytest.fixture(scope="module")
def opened(url: str) -> Iterator[Callable[..., Window]]:
    with browser() as open_window:

        def made(path: str, width: int = 1280, **context: object) -> Window:
            window = open_window(width, 900, **context)
            page = window.page
            page.route("**/api/v1/dashboards", lambda route: route.fulfill(json=CATALOGUE))
            page.route(
                "**/api/v1/dashboards/*",
                lambda route: route.fulfill(json=figures(parse_qs(urlsplit(route.request.url).query))),
            )
            page.goto(url + path)
            page.wait_for_selector("svg.chart")
            return window

        yield made


def asked(window: Window) -> dict[str, list[str]]:
    return parse_qs(urlsplit(window.page.url).query)


def drag(window: Window, begin: float, end: float) -> None:
    """Drags over the first chart, from one share of its width to another."""
    box = window.page.locator("svg.chart").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    mouse = window.page.mouse
    mouse.move(box["x"] + begin * box["width"], middle)
    mouse.down()
    mouse.move(box["x"] + (begin + end) / 2 * box["width"], middle)
    mouse.move(box["x"] + end * box["width"], middle)
    mouse.up()


def test_the_address_holds_what_is_looked_at_and_the_back_button_leads_back(
    opened: Callable[..., Window],
) -> None:
    from playwright.sync_api import expect

    window = opened("/dashboards")
    page = window.page
    page.locator("#span").select_option("6h")
    page.locator("#instance").select_option("app-1")
    expect(page.locator("#provider")).to_be_visible()
    page.get_by_role("link", name="Cost").click()
    expect(page.locator("#provider")).to_be_hidden()  # nothing there reads it
    assert asked(window) == {"span": ["6h"], "instance": ["app-1"]}
    assert page.url.endswith("#cost")
    other = opened(page.url.partition(page.url.split("/dashboards")[0])[2])
    expect(other.page.locator("#span")).to_have_value("6h")
    expect(other.page.locator("#instance")).to_have_value("app-1")
    expect(other.page.locator("#tabs [aria-current]")).to_have_text("Cost")
    page.go_back()
    expect(page.locator("#tabs [aria-current]")).to_have_text("Main")
    page.go_back()
    expect(page.locator("#instance")).to_have_value("")
    expect(page.locator("#span")).to_have_value("6h")
    page.go_back()
    expect(page.locator("#span")).to_have_value("1h")
    window.assert_clean()


def test_dragging_shows_a_stretch_in_all_charts_and_double_click_or_escape_leaves_it(
    opened: Callable[..., Window],
) -> None:
    from playwright.sync_api import expect

    window = opened("/dashboards")
    page = window.page
    drag(window, 0.3, 0.6)
    expect(page.locator("#unzoom")).to_be_visible()
    (begin,), (end,) = asked(window)["from"], asked(window)["to"]
    assert 0.2 * 3600 < int(end) - int(begin) < 0.4 * 3600
    shared = opened(page.url.partition(page.url.split("/dashboards")[0])[2])
    expect(shared.page.locator("#unzoom")).to_be_visible()
    with page.expect_request(lambda r: "/api/v1/dashboards/main" in r.url and "from=" not in r.url):
        page.locator("svg.chart").nth(1).dblclick()
    assert "from" not in asked(window)
    expect(page.locator("#unzoom")).to_be_hidden()
    page.go_back()
    expect(page.locator("#unzoom")).to_be_visible()
    page.locator("svg.chart").first.focus()
    page.keyboard.press("Escape")
    expect(page.locator("#unzoom")).to_be_hidden()
    window.assert_clean()


def test_a_keyboard_zooms_too(opened: Callable[..., Window]) -> None:
    from playwright.sync_api import expect

    window = opened("/dashboards")
    page = window.page
    page.locator("svg.chart").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".tip:visible")).to_contain_text("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#unzoom")).to_be_visible()
    (begin,), (end,) = asked(window)["from"], asked(window)["to"]
    assert int(end) - int(begin) == 6 * 60
    expect(page.locator("svg.chart").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#unzoom")).to_be_hidden()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Escape")
    expect(page.locator("svg.choosing")).to_have_count(0)
    window.assert_clean()


def test_the_legend_shows_one_line_alone_or_turns_it_off_by_click_and_by_key(
    opened: Callable[..., Window],
) -> None:
    from playwright.sync_api import expect

    window = opened("/dashboards")
    page = window.page
    first = page.locator(".panel").first
    lines, entries = first.locator("path.line"), first.locator(".legend button")
    expect(lines).to_have_count(3)
    entries.nth(1).click()
    expect(lines).to_have_count(1)
    pressed = [e.get_attribute("aria-pressed") for e in entries.all()]
    assert pressed == ["false", "true", "false"]
    assert asked(window)["series"] == ["0:sim-b"]
    page.reload()
    expect(lines).to_have_count(1)
    assert "c1" in str(lines.first.get_attribute("class")), "a line keeps its colour"
    entries.nth(0).click(modifiers=["Control"])
    expect(lines).to_have_count(2)
    entries.nth(0).focus()
    page.keyboard.press("Space")
    expect(lines).to_have_count(1)
    expect(entries.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    assert asked(window)["series"] == ["0:sim-a"]
    page.keyboard.press("Enter")
    expect(lines).to_have_count(3)
    assert "series" not in asked(window)
    page.go_back()
    expect(lines).to_have_count(1)
    window.assert_clean()


@each_row("width, lang", [(360, "ja"), (800, "en"), (1440, "ja")])
def test_no_label_is_cut_off_or_meets_another(
    url: str, opened: Callable[..., Window], tmp_path: Path, width: int, lang: str
) -> None:
    shots = Path(os.environ.get("TECHSAPO_SCREENSHOTS", tmp_path))
    window = opened(f"/dashboards?lang={lang}&span=15m", width)
    page = window.page
    for span in ("15m", "24h", "7d"):
        if span != "15m":
            page.goto(f"{url}/dashboards?lang={lang}&span={span}")
            page.wait_for_selector("svg.chart")
        assert page.evaluate(CUT) == []
        assert page.evaluate(MEETING) == []
        assert page.evaluate(AT_THE_TOP) == []
        assert page.evaluate(NO_OVERFLOW)
    page.screenshot(path=shots / f"charts-{width}-{lang}.png", full_page=True)


def test_every_chart_marks_the_applies_and_says_who_did_what(
    opened: Callable[..., Window], tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    window = opened("/dashboards?lang=en", color_scheme="dark")
    page = window.page
    for chart in page.locator("svg.chart").all():
        assert [t.split("@")[-1] for t in chart.locator(".apply text").all_text_contents()] == ["41", "42"]
    assert page.locator("svg.chart .apply.failed").count() == page.locator("svg.chart").count()
    page.locator("svg.chart").first.hover()
    chart = page.locator("svg.chart").first
    chart.focus()
    page.keyboard.press("End")
    for _ in range(15):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip:visible")).to_contain_text("@42")
    expect(page.locator(".tip:visible")).to_contain_text("taro · rollback · failed")
    page.screenshot(path=Path(os.environ.get("TECHSAPO_SCREENSHOTS", tmp_path)) / "charts-dark.png")


def test_every_chart_marks_the_events_and_says_what_was_done(opened: Callable[..., Window]) -> None:
    from playwright.sync_api import expect

    window = opened("/dashboards?lang=en")
    page = window.page
    for chart in page.locator("svg.chart").all():
        (said,) = chart.locator(".event > title").all_text_contents()
        assert "deployed shop <b>v12</b> to all of the hosts" in said
        assert said.startswith("event · ")
        assert said.endswith(" · shop · jiro")
        (shown,) = chart.locator(".event > text").all_text_contents()
        assert shown.startswith("deployed")
        assert "…" in shown
    chart = page.locator("svg.chart").first
    chart.focus()
    page.keyboard.press("End")
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip:visible")).to_contain_text("deployed shop <b>v12</b>")
    window.assert_clean()


@each_row("lang, said", [("ja", "バックアップがまだありません"), ("en", "There is no backup yet")])
def test_where_there_are_no_figures_each_page_says_which_command_brings_some(
    url: str, opened: Callable[..., Window], lang: str, said: str
) -> None:
    from playwright.sync_api import expect

    window = opened(f"/dashboards?lang={lang}")
    page = window.page
    empty = page.locator(".panel .empty")
    expect(empty).to_have_count(2)
    expect(empty.first).to_contain_text(said)
    expect(empty.first.locator("code")).to_have_text("techsapo backup")
    expect(empty.last.locator("code")).to_contain_text("techsapo ask")
    page.goto(f"{url}/dashboards?lang={lang}#live")
    success = page.locator(".panel", has_text="techsapo_wallbounce_success_rate")
    expect(success.locator(".empty code")).to_contain_text("techsapo ask")
    page.goto(f"{url}/status?lang={lang}")
    expect(page.locator("#costs .hint code")).to_contain_text("techsapo ask")
    window.assert_clean()


def test_an_address_that_makes_no_sense_shows_the_first_dashboard(opened: Callable[..., Window]) -> None:
    from playwright.sync_api import expect

    odd = "span=99y&from=9&to=1&series=__proto__:x&series=:&series=0:gone&instance=gone"
    window = opened(f"/dashboards?{odd}#%E0%A4%A")
    page = window.page
    expect(page.locator("#tabs [aria-current]")).to_have_text("Main")
    expect(page.locator("#span")).to_have_value("1h")
    expect(page.locator("#instance")).to_have_value("gone")
    expect(page.locator(".panel").first.locator("path.line")).to_have_count(3)
    expect(page.locator("#unzoom")).to_be_hidden()
    window.assert_clean()

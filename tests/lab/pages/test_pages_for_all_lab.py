"""The pages without a mouse, good eyes or a wide screen: axe-core, the keyboard, 320 pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browsers import Window, browser, violations
from pool import Pool
from rows import each_row
from status_document import ALERT, told_by

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.lab

PAGES = (
    "/", "/dashboards", "/status", "/incidents", "/docs", "/runbooks", "/runbooks/AppDown",
    "/alerts/AppDown/acknowledge", "/feedback",
)  # fmt: skip
CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]"
LOOKS = [("ja", "light"), ("en", "dark")]
"""Words depend on the language, contrasts on the scheme."""


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


def full(page: Page, url: str) -> None:
    """Let the Status page have something of everything."""
    job = {"name": "backup", "last_run": 1.0, "last_success": 1.0, "exit_code": 1, "next_run": 2.0}
    disk = {
        "mountpoint": "/",
        "instance": "db-1",
        "used_percent": 91.5,
        "free_bytes": 9e9,
        "full_percent": 90,
    }
    certificate = {
        "name": "techsapo", "source": "acme", "ends": 2e9, "left_percent": 5, "served": False, "failures": 2,
    }  # fmt: skip
    service = {"name": "app-1", "kind": "app", "up": True, "version": "1", "lacks": ["redis"]}
    services = [service, {**service, "name": "app-2", "up": False}, {**service, "name": "redis", "up": None}]
    told = told_by(
        url, watched="ready", alerts=[ALERT, {**ALERT, "severity": "warning"}], jobs=[job], disks=[disk],
        certificates=[certificate], services=services,
    )  # fmt: skip
    page.route("**/api/v1/status", lambda route: route.fulfill(json=told))


def asked(page: Page) -> None:
    """Have an answer on the Ask page."""
    page.locator("#prompt").fill("ディスクが一杯です")
    page.locator("#prompt").press("Control+Enter")
    page.wait_for_selector("#answer .written", timeout=60_000)
    page.wait_for_selector("#stop", state="hidden", timeout=60_000)
    page.locator("#history summary").click()


@each_row("language, scheme", LOOKS)
def test_axe_finds_nothing_and_nothing_is_wider_than_320_pixels(
    shared: Pool, open_window: Callable[..., Window], axe: str, language: str, scheme: str
) -> None:
    app = shared.app()
    window = open_window(320, 640, color_scheme=scheme)
    page = window.page
    full(page, app.url)
    found = []
    for path in PAGES:
        page.goto(f"{app.url}{path}?lang={language}")
        page.wait_for_selector("nav a:not(:empty)")
        if path == "/":
            asked(page)
        if path == "/status":
            page.wait_for_selector("#disks li")
        if path == "/docs":
            page.wait_for_selector("#operations details")
        found += violations(page, axe)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            found.append(f"{path} is {width} wide")
    assert found == []


@each_row("path", PAGES)
def test_the_keyboard_alone_reaches_everything(
    shared: Pool, open_window: Callable[..., Window], path: str
) -> None:
    app = shared.app()
    window = open_window(1200, 900)
    page = window.page
    full(page, app.url)
    page.goto(app.url + path)
    page.wait_for_selector("nav a:not(:empty)")
    if path == "/":
        asked(page)
    if path == "/status":
        page.wait_for_selector("#disks li")
    if path == "/dashboards":
        page.wait_for_selector("#tabs a")
    # By its place in the page: panels are drawn anew each second, and the focus stays in its place.
    page.evaluate("""() => {
        window.placeOf = (node) => {
            const path = [];
            for (; node.parentElement; node = node.parentElement)
                path.unshift([...node.parentElement.children].indexOf(node));
            return path.join(" ");
        };
    }""")
    mark = """(selector) => {
        document.activeElement.blur();
        const all = [...document.querySelectorAll(selector)].filter((each) =>
            each.checkVisibility() && !each.disabled && each.tabIndex >= 0);
        // Of a group of choices the arrow keys reach the others.
        const own = all.filter((each) => each.type !== "radio" || each.checked);
        return own.map((each) => [placeOf(each), each.outerHTML.slice(0, 90)]);
    }"""
    waiting = dict(page.evaluate(mark, CONTROLS))
    assert waiting
    page.evaluate("""() => {
        window.met = [];
        document.addEventListener("focusin", ({ target }) => {
            met.push([placeOf(target), getComputedStyle(target).outlineStyle]);
        });
    }""")
    for pressed in range(1, 2 * len(waiting) + 11):
        page.keyboard.press("Tab")
        if pressed % 10:
            continue
        for place, outline in page.evaluate("met.splice(0)"):
            if place in waiting:
                assert outline != "none", waiting[place]
                del waiting[place]
        if not waiting:
            break
    assert waiting == {}

"""The Status page in a real browser: what it tells to whom, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from browsers import Window, browser
from pool import Pool

pytestmark = pytest.mark.lab

ANNOUNCED = """
  window.announced = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const node = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
      const live = node?.closest?.("[aria-live], [role=status], [role=alert], [role=log]");
      if (live) window.announced.push(live.textContent);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
"""
ALERT = {
    "name": "AppDown", "severity": "critical", "instance": "", "state": "firing",
    "since": "2026-11-27T01:00:00+00:00", "until": None, "description": "", "runbook": "", "acknowledged": None,
    "summary": "app-1 が停止しています", "summaries": {"ja": "app-1 が停止しています", "en": "app-1 is down"},
}  # fmt: skip


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


def told_by(url: str, **more: Any) -> dict[str, Any]:
    """What the API tells, with `more` in its place."""
    document: dict[str, Any] = httpx.get(f"{url}/api/v1/status", trust_env=False).json()
    return {**document, **more}


def test_a_refresh_is_not_announced_and_a_lost_connection_is(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import Route, expect

    app = shared.app()
    window = open_window(1200, 900)
    page = window.page
    page.clock.install()
    page.add_init_script(ANNOUNCED)
    answering = True

    def answer(route: Route) -> None:
        if answering:
            route.continue_()
        else:
            route.abort("connectionrefused")

    page.route("**/api/v1/status", answer)
    page.goto(f"{app.url}/status")
    expect(page.locator("#status")).to_have_text("最新")
    shown = page.locator("#when")
    expect(shown).to_contain_text("更新")
    before = page.evaluate("window.announced.length")
    for _ in range(3):
        told = shown.inner_text()
        page.clock.run_for(11_000)
        expect(shown).not_to_have_text(told)
    assert page.evaluate("window.announced.length") == before, page.evaluate("window.announced")
    answering = False
    page.clock.run_for(11_000)
    expect(page.locator("#status")).to_contain_text("接続が切れました")
    assert "接続が切れました" in page.evaluate("window.announced.at(-1)")
    window.assert_clean()


def test_alerts_are_told_in_the_language_of_the_reader(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app()
    own = {**ALERT, "name": "Own", "summary": "自分のルール", "summaries": {}}
    told = told_by(app.url, alerts=[ALERT, own], watched="ready", jobs=[])
    window = open_window(1200, 900)
    page = window.page
    page.route("**/api/v1/status", lambda route: route.fulfill(json=told))
    page.goto(f"{app.url}/status?lang=en")
    alerts = page.locator("#alerts li")
    expect(alerts.first).to_contain_text("app-1 is down")
    expect(alerts.first).not_to_contain_text("停止")
    expect(alerts.nth(1)).to_contain_text("自分のルール")
    page.locator("#language").click()
    expect(alerts.first).to_contain_text("app-1 が停止しています")
    window.assert_clean()

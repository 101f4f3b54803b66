"""The Incidents page in a real browser: an alert that comes in, its evidence and verdict, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from browsers import Window, browser
from pool import Pool

pytestmark = pytest.mark.lab

ALERTS = [
    {
        "labels": {
            "alertname": name, "severity": "critical", "page": "true", "instance": "redis-1",
            "service": "redis",
        },
        "annotations": {"summary": summary},
    }
    for name, summary in (("RedisDown", "Redis <b>is</b> down"), ("CacheSlow", "Answers are slow"))
]  # fmt: skip


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


def test_an_incident_is_seen_from_its_alert_to_its_end(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app(investigate={}, locale="en")
    assert httpx.post(f"{app.url}/api/v1/alerts", json=ALERTS, timeout=30).json()["incidents"] == [1]
    window = open_window(1200, 900)
    page = window.page
    page.goto(f"{app.url}/incidents?alert=CacheSlow&lang=en")
    shown = page.locator("#incident")
    expect(shown.locator("h2")).to_contain_text("#1 Redis <b>is</b> down")
    expect(shown.locator("p.big")).not_to_be_empty(timeout=60_000)
    expect(shown).to_contain_text("Sources read")
    shown.locator("summary").last.click()
    expect(shown.locator("#timeline")).to_contain_text("Evidence gathered")
    field = shown.locator("form").last.locator("input")
    field.fill("Somebody <i>stopped</i> Redis")
    shown.get_by_role("button", name="Resolve").click()
    expect(shown).to_contain_text("Resolved. Cause: Somebody <i>stopped</i> Redis")
    page.locator("#language").click()
    expect(shown).to_contain_text("解決済み。原因：Somebody <i>stopped</i> Redis")
    window.assert_clean()


def test_from_the_runbook_of_an_alert_a_reader_comes_to_its_incident(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app(investigate={}, locale="en")
    assert httpx.post(f"{app.url}/api/v1/alerts", json=ALERTS, timeout=30).status_code == 200
    window = open_window(400, 800)
    page = window.page
    page.goto(f"{app.url}/runbooks/RedisDown?lang=ja")
    page.get_by_role("link", name="なぜ？", exact=True).click()
    page.wait_for_url("**/incidents?lang=ja&alert=RedisDown")
    expect(page.locator("#incident h2")).to_contain_text("Redis <b>is</b> down")
    page.goto(f"{app.url}/runbooks?lang=ja")
    expect(page.get_by_role("link", name="なぜ？", exact=True)).to_have_count(0)
    window.assert_clean()


def test_a_stack_without_investigations_says_so(shared: Pool, open_window: Callable[..., Window]) -> None:
    from playwright.sync_api import expect

    window = open_window(400, 800)
    page = window.page
    page.goto(f"{shared.app().url}/incidents?lang=en")
    expect(page.locator("#status")).to_contain_text("investigate")

"""The Status page in a real browser: what it tells to whom, and how."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsers import Window, browser
from orchestrator import ask, serving
from pool import Pool
from rows import each_row
from servers import free_port
from status_document import ALERT, told_by

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


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


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


def test_a_refresh_leaves_the_focus_where_the_reader_has_it(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app()
    window = open_window(1200, 900)
    page = window.page
    page.clock.install()
    alert = {**ALERT, "runbook": "/runbooks/AppDown"}
    told = told_by(app.url, alerts=[alert], watched="ready", jobs=[])
    page.route("**/api/v1/status", lambda route: route.fulfill(json=told))
    page.goto(f"{app.url}/status")
    link = page.locator("#alerts a").first
    link.focus()
    before = link.element_handle()
    shown = page.locator("#when").inner_text()
    page.clock.run_for(11_000)
    expect(page.locator("#when")).not_to_have_text(shown)
    assert before is not None
    assert not before.evaluate("each => each.isConnected"), "it was drawn anew"
    expect(link).to_be_focused()
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


def test_without_prometheus_the_page_says_that_nobody_watches(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app(monitoring={"prometheus": {"enabled": False}})
    window = open_window(1200, 900)
    page = window.page
    page.goto(f"{app.url}/status")
    for place in ("#services", "#disks", "#certificates"):
        expect(page.locator(place)).to_contain_text("監視していません")
    window.assert_clean()


def test_every_instance_has_its_state_and_what_it_is_cut_off_from(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app()
    service = {"name": "app-1", "kind": "app", "up": True, "version": "0.2.0", "lacks": ["redis"]}
    other = {**service, "lacks": []}
    told = told_by(
        app.url,
        watched="ready",
        alerts=[],
        jobs=[],
        services=[service, {**other, "name": "app-2", "up": False}, {**other, "name": "mysql", "up": None}],
        disks=[
            {"mountpoint": "/srv", "instance": "h", "used_percent": 93, "free_bytes": 1e9, "full_percent": 90}
        ],
        certificates=[
            {"name": "web", "source": "acme", "ends": 4e9, "left_percent": 60, "served": False, "failures": 0}
        ],
    )
    window = open_window(1200, 900)
    page = window.page
    page.route("**/api/v1/status", lambda route: route.fulfill(json=told))
    page.goto(f"{app.url}/status?lang=en")
    services = page.locator("#services li")
    expect(services).to_have_count(3)
    expect(services.nth(0)).to_contain_text("can't reach redis")
    expect(services.nth(0).locator(".warn")).to_have_text("degraded")
    expect(services.nth(1).locator(".bad")).to_have_text("down")
    expect(services.nth(2).locator(".dim.badge")).to_have_text("unknown")
    expect(page.locator("#disks .bad")).to_have_text("93 %")
    expect(page.locator("#certificates .warn")).to_contain_text("expires")
    expect(page.locator("#certificates")).to_contain_text("nginx serves another certificate")
    window.assert_clean()


@each_row(
    "ran, due, said",
    [(60, None, "2日以上"), (3, None, None), (None, -6, "まだ実行された"), (None, 60, "2日以上")],
)
def test_the_status_page_says_that_no_job_ran_for_two_days_where_it_had_to(
    shared: Pool, open_window: Callable[..., Window], ran: int | None, due: int | None, said: str | None
) -> None:
    """`ran` and `due` are hours ago."""
    from playwright.sync_api import expect

    url = shared.app().url
    last, ahead = (None if hours is None else time.time() - hours * 3600 for hours in (ran, due))
    code = None if ran is None else 0
    job = {"name": "backup", "last_run": last, "last_success": last, "exit_code": code, "next_run": ahead}
    silenced = {**ALERT, "state": "silenced", "until": "2026-11-27T03:00:00+00:00"}
    backups = {
        "newest": time.time(), "verified": time.time(), "ok": True,
        "offsite_verified": None, "offsite_ok": False,
    }  # fmt: skip
    told = told_by(url, watched="ready", jobs=[job], alerts=[silenced], backups=backups)
    page = open_window(1200, 900).page
    page.route("**/api/v1/status", lambda route: route.fulfill(json=told))
    page.goto(f"{url}/status")
    expect(page.locator("#jobs")).to_contain_text("backup")
    expect(page.locator("#jobs .warn")).to_have_count(1 if said == "2日以上" else 0)
    told_of_jobs = page.locator("#jobs > p")
    expect(told_of_jobs).to_have_count(1 if said else 0)
    if said:
        expect(told_of_jobs).to_contain_text(said)
    expect(page.locator("#alerts li")).to_contain_text("サイレンス中")
    expect(page.locator("#alerts li")).to_contain_text("終了 ")
    expect(page.locator("#backups li")).to_have_count(3)
    expect(page.locator("#backups .bad")).to_have_count(1)


def test_the_status_page_says_which_provider_is_left_alone_and_why(
    tmp_path: Path, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    gone = {
        "kind": "openai", "model": "gpt-6.1-sol", "api_key": "sk-lab", "attempts": 1, "price": {},
        "base_url": f"http://127.0.0.1:{free_port()}/v1",
    }  # fmt: skip
    breaker = {"breaker": {"failures": 1, "cooldown": "10m"}}
    with serving(tmp_path, providers={"gpt": gone, "gpt-too": gone}, wallbounce=breaker) as app:
        assert ask(app, "the disk of db-1 is full").status_code == 502
        window = open_window(390, 844)
        window.page.goto(f"{app.url}/status")
        lines = window.page.locator("#health li").filter(has_text="休止中")
        expect(lines).to_have_count(2)
        for words in ("接続できません", "秒後に再試行します", "対処: `base_url`"):
            expect(lines.first).to_contain_text(words)
        window.assert_clean()

"""The built-in pages in a real browser against a running app: events, lost connections, keys, keyboard."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_keys import NEEDED, keys_of, make_key, with_key
from browsers import Window, browser
from orchestrator import ask, serving
from pool import Pool
from servers import Server, wait_for

pytestmark = pytest.mark.lab

SLOW = {
    name: {"kind": "simulated", "seed": seed, "accuracy": 1, "latency": mean}
    for name, seed, mean in (("sim-a", 1, "300ms"), ("sim-b", 2, "900ms"), ("sim-c", 3, "1500ms"))
}


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("TECHSAPO_SCREENSHOTS") or tmp_path_factory.mktemp("shots"))


def test_answers_and_grades_appear_before_the_verdict(
    tmp_path: Path, open_window: Callable[..., Window], shots: Path
) -> None:
    from playwright.sync_api import expect

    with serving(tmp_path, providers=SLOW) as app:
        window = open_window(1200, 900)
        page = window.page
        page.goto(app.url)
        page.get_by_label("質問").fill("データベースの接続が切れます")
        page.get_by_label("プレミアム").check()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#providers article")).to_have_count(3)
        expect(page.locator("#timeline li").first).to_contain_text("問い合わせています: sim-a, sim-b, sim-c")
        expect(page.locator("#providers")).to_contain_text("回答を待っています")
        expect(page.locator("#timeline li").nth(1)).to_contain_text("sim-a")
        assert page.locator("#result").is_hidden(), "the first answer is shown while the others are asked"
        page.screenshot(path=shots / "ask-under-way.png", full_page=True)
        expect(page.locator("#status")).to_contain_text("相互に採点しています")
        expect(page.locator("#badges")).to_contain_text("シミュレーション", timeout=10_000)
        expect(page.locator("#timeline")).to_contain_text("評価")
        expect(page.locator("#timeline li").last).to_contain_text("結論が出ました")
        assert page.locator("#grades tr").count() == 7
        page.get_by_label("質問").fill("別の質問")
        page.get_by_label("質問").press("Control+Enter")
        expect(page.locator("#stop")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#status")).to_have_text("中止しました")
        window.assert_clean()


def test_a_question_is_sent_again_with_its_key_and_the_next_one_with_another(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import Route, expect

    app = shared.app()
    window = open_window(1200, 900)
    page = window.page
    sent: list[tuple[str, str | None]] = []

    def pass_on(route: Route) -> None:
        """The first attempt meets an instance that died behind nginx, the third one a lost connection."""
        sent.append((route.request.headers.get("idempotency-key", ""), route.request.post_data))
        if len(sent) == 1:
            route.fulfill(status=502, content_type="application/problem+json", body='{"status": 502}')
        elif len(sent) == 3:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/v1/generate*", pass_on)
    page.goto(app.url)
    for number in (1, 2):
        page.get_by_label("質問").fill(f"ディスクが一杯です {number}")
        page.get_by_label("質問").press("Control+Enter")
        expect(page.locator("#badges")).to_contain_text("シミュレーション", timeout=60_000)
        page.wait_for_function("!document.getElementById('problem').checkVisibility()")
        expect(page.locator("#timeline li").last).to_contain_text("結論が出ました", timeout=60_000)
        expect(page.locator("#stop")).to_be_hidden(timeout=60_000)
    first, second, third, fourth = sent
    assert first == second
    assert third == fourth
    assert first[0] != third[0]
    assert all(len(key) == 32 for key, _ in sent)
    window.assert_clean(allowed="502")


def test_the_pages_ask_for_an_answer_in_the_language_that_the_reader_chose(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    window = open_window(1200, 900)
    page = window.page
    page.goto(shared.app().url)
    page.get_by_label("質問").fill("why is the disk of db-1 full?")
    page.get_by_label("質問").press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text("シミュレーション", timeout=10_000)
    page.locator("#language").click()
    page.get_by_label("Question").press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text("(simulated)", timeout=10_000)
    window.assert_clean()


def test_the_live_view_follows_the_stream_over_a_lost_connection(
    tmp_path: Path, open_window: Callable[..., Window], shots: Path
) -> None:
    from playwright.sync_api import expect

    window = open_window(390, 844, color_scheme="dark")
    page = window.page
    with serving(tmp_path, monitoring={"prometheus": {"enabled": False}}) as app:
        themes(window, app.url)
        page.goto(f"{app.url}/dashboards")
        expect(page.locator("#about")).to_contain_text("Prometheusがない")
        expect(page.locator("#status")).to_have_text("ライブ · app-1")
        cost = page.locator(".panel", has_text="techsapo_wallbounce_cost_usd")
        expect(cost).to_contain_text("$0.00")
        spent = ask(app, "the disk of db-1 is full").json()["cost_usd"]
        expect(cost).to_contain_text(re.compile(r"\$0\.\d*[1-9]"), timeout=8000)
        expect(page.locator(".panel", has_text="techsapo_wallbounce_success_rate")).to_contain_text("100 %")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.screenshot(path=shots / "live-phone-dark.png", full_page=True)
        wait_for(lambda: month(app)["requests"] == 1, what="the audit row")
        assert month(app)["total_usd"] == pytest.approx(spent)
        status = page.context.new_page()
        status.goto(f"{app.url}/status")
        expect(status.locator("#health .headline")).to_contain_text("正常")
        expect(status.locator("#alerts")).to_contain_text("監視していません")
        expect(status.locator("#costs")).to_contain_text("sim-a")
        app.process.send_signal(signal.SIGTERM)
        app.process.wait(timeout=60)
        expect(page.locator("#status")).to_contain_text("接続が切れました")
        expect(page.locator("#status")).to_contain_text("秒後に再接続します")
        port = app.port
    with again(tmp_path, port):
        expect(page.locator("#status")).to_have_text("ライブ · app-1", timeout=20_000)
        expect(status.locator("#status")).to_have_text("最新", timeout=20_000)
        page.get_by_role("button", name="English").click()
        expect(page.locator("#status")).to_have_text("Live · app-1")
        window.assert_clean()


def month(app: Server) -> dict[str, Any]:
    """The Status page's costs of this month."""
    told = httpx.get(f"{app.url}/api/v1/status", trust_env=False, timeout=60).json()
    return dict(told["costs"]["month"])


def again(directory: Path, port: int):  # type: ignore[no-untyped-def]  # a context manager
    """The same app once more on the same port."""
    import sys

    from servers import http_ok, running

    argv = [
        sys.executable, "-m", "techsapo_ops", "serve", "--file", str(directory / "techsapo.yaml"),
        "--instance", "app-1", "--port", str(port), "--data", str(directory / "data"),
    ]  # fmt: skip
    return running(argv, directory, port, lambda: http_ok(f"http://127.0.0.1:{port}/ping"))


def test_where_keys_are_on_the_pages_have_a_field_for_one_and_forget_it_with_the_tab(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    app = shared.app(**NEEDED)
    key = make_key(keys_of(app), "page")
    wait_for(lambda: with_key(app, key).status_code == 200, what="key known")
    window = open_window(1200, 900)
    page = window.page
    page.goto(app.url)
    page.get_by_label("質問").fill("disk full on db-7")
    page.get_by_label("質問").press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("上の欄に入力してください")
    expect(page.get_by_role("alert")).to_contain_text("unauthorized")
    page.get_by_label("APIキー").fill(key)
    page.get_by_label("APIキー").press("Enter")
    page.get_by_label("質問").press("Control+Enter")
    expect(page.locator("#badges")).to_contain_text("シミュレーション")
    page.reload()
    expect(page.get_by_label("APIキー")).to_have_value(key)
    page.get_by_label("質問").fill("disk full on db-7")
    page.get_by_label("質問").press("Control+Enter")
    expect(page.locator("#badges")).to_contain_text("キャッシュ")
    expect(page.get_by_role("heading", name="経過")).to_be_hidden()
    other = page.context.new_page()
    other.goto(app.url)
    expect(other.get_by_label("APIキー")).to_have_value("")
    assert key not in page.evaluate("JSON.stringify(localStorage)") + page.context.new_page().url
    window.assert_clean(allowed="401")


def themes(window: Window, url: str) -> None:
    """The system's choice holds until the reader makes one, which is kept; text stands out from it."""
    page = window.page

    def dark() -> bool:
        ground, text = (
            sum(
                int(n)
                for n in re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{name}"))[:3]
            )
            for name in ("backgroundColor", "color")
        )
        assert abs(ground - text) > 384, "of 765 between black and white"
        return ground < text

    page.goto(f"{url}/status")
    assert dark()
    page.locator("#theme").click()
    assert not dark()
    page.reload()
    assert not dark()
    page.locator("#theme").click()
    assert dark()

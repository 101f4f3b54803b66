"""The Ask page in a real browser: while an answer is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from api_keys import NEEDED, keys_of, make_key, with_key
from browsers import Window, browser
from orchestrator import serving
from pool import Pool
from rows import each_row
from servers import wait_for
from vendor_thread import counting_vendor

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

pytestmark = pytest.mark.lab

SLOW = {
    name: {"kind": "simulated", "seed": seed, "accuracy": 1, "latency": mean}
    for name, seed, mean in (("sim-a", 1, "300ms"), ("sim-b", 2, "600ms"), ("sim-c", 3, "900ms"))
}
APPEARED = """
  window.appeared = 0;
  document.addEventListener("animationstart", () => { window.appeared += 1; });
"""


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


@pytest.fixture(scope="module")
def keyed(shared: Pool) -> tuple[str, str, str]:
    """The address of an app that needs keys, and two of them."""
    app = shared.app(**NEEDED)
    keys = keys_of(app)
    mine, other = make_key(keys, "mine"), make_key(keys, "other")
    wait_for(lambda: with_key(app, other).status_code == 200, what="keys known")
    return app.url, mine, other


def sent_by(page: Page) -> list[str]:
    """The bodies of what `page` posts from now on."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(str(request.post_data))

    page.on("request", note)
    return sent


def test_a_card_appears_once_and_stays_while_others_answer(
    tmp_path: Path, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    with serving(tmp_path, providers=SLOW) as app:
        window = open_window(1200, 900)
        page = window.page
        page.add_init_script(APPEARED)
        page.goto(app.url)
        page.get_by_label("質問").fill("ディスクが一杯です")
        page.get_by_label("プレミアム").check()
        page.get_by_label("質問").press("Control+Enter")
        expect(page.locator("#providers article")).to_have_count(3)
        first = page.locator("#providers article").first.element_handle()
        line = page.locator("#timeline li").first.element_handle()
        expect(page.locator("#badges")).to_contain_text("シミュレーション", timeout=60_000)
        assert first is not None
        assert line is not None
        assert first.evaluate("card => card.isConnected")
        assert line.evaluate("line => line.isConnected")
        assert page.evaluate("window.appeared") == 3, "one for each card, not for each event"
        expect(page.locator("#providers article").first).to_contain_text("$")
        page.locator("#language").click()
        expect(page.locator("#providers article").first).to_contain_text("tokens")
        window.assert_clean()


def test_ctrl_enter_asks_from_a_tier_from_the_button_and_from_nowhere(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    window = open_window(1200, 900)
    page = window.page
    sent = sent_by(page)
    page.goto(shared.app().url)
    places = ("プレミアム", "重要", None)
    for number, place in enumerate(places):
        page.get_by_label("質問", exact=True).fill(f"ポートが閉じています {number}")
        if place is None:
            page.evaluate("document.activeElement.blur()")
            page.keyboard.press("Control+Enter")
        else:
            page.get_by_label(place).check()
            page.get_by_label(place).press("Control+Enter")
        expect(page.locator("#status")).to_have_text("回答が届きました", timeout=60_000)
        expect(page.locator("#stop")).to_be_hidden(timeout=60_000)
        assert len(sent) == number + 1, place
    page.get_by_role("button", name="質問する").press("Control+Enter")
    expect(page.locator("#stop")).to_be_hidden(timeout=60_000)
    assert len(sent) == len(places) + 1, "the button and the keys are one question"
    assert '"critical"' in sent[1]
    window.assert_clean()


def test_hostile_markdown_is_read_and_does_nothing(
    tmp_path: Path, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    with counting_vendor() as vendor:
        each = {
            "kind": "openai-compatible", "model": "markdown", "base_url": vendor.url, "attempts": 1,
            "api_key": "sk-lab-0123456789", "price": {"input": 1, "output": 2},
        }  # fmt: skip
        with serving(tmp_path, providers={"one": each, "two": each}) as app:
            window = open_window(320, 800, permissions=["clipboard-read", "clipboard-write"])
            page = window.page
            page.goto(app.url)
            page.get_by_label("質問", exact=True).fill("ディスクが一杯です")
            page.get_by_label("質問", exact=True).press("Control+Enter")
            expect(page.locator("#stop")).to_be_hidden(timeout=60_000)
            answer = page.locator(
                "#providers article"
            ).first  # what the graders hold against it is held back above
            expect(answer.locator("strong")).to_have_text("太字")
            expect(answer.get_by_role("heading", name="見出し", level=4)).to_be_visible()
            expect(answer).to_contain_text("<script>window.hit=1</script>")
            expect(answer).to_contain_text("bank.example (evil.example)")
            expect(answer.locator("img, script, [onclick], [onerror], [style]")).to_have_count(0)
            expect(answer.locator("a")).to_have_count(2)
            assert page.evaluate("window.hit") is None
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            copy = answer.get_by_role("button", name="コピー")
            copy.click()
            expect(page.locator("#status")).to_have_text("コピーしました")
            assert page.evaluate("navigator.clipboard.readText()") == "df -h"
            page.evaluate("navigator.clipboard.writeText('')")
            page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error()))")
            answer.locator(".copy").press("Enter")
            wait_for(
                lambda: page.evaluate("navigator.clipboard.readText()") == "df -h",
                what="copied by plain http",
            )
            assert window.hosts == {f"127.0.0.1:{app.port}"}
            window.assert_clean()


def test_an_answer_is_read_again_by_its_address_and_by_the_history_of_this_browser(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    window = open_window(1200, 900)
    page = window.page
    sent = sent_by(page)
    page.goto(shared.app().url)
    expect(page.locator("#history")).to_be_hidden()
    told = []
    for question in ("ログが増えました", "ポートが閉じています"):
        page.get_by_label("質問", exact=True).fill(question)
        page.get_by_label("質問", exact=True).press("Control+Enter")
        expect(page.locator("#of")).to_have_text(question, timeout=60_000)
        expect(page.locator("#stop")).to_be_hidden(timeout=60_000)
        told.append(page.locator("#answer").inner_text())
    address = page.url
    assert "?answer=req_" in address
    page.reload()
    expect(page.locator("#answer")).to_have_text(told[1])
    page.go_back()
    expect(page.locator("#of")).to_have_text("ログが増えました")
    expect(page.locator("#answer")).to_have_text(told[0])
    page.locator("#history summary").click()
    expect(page.locator("#asked li")).to_have_count(2)
    page.get_by_role("link", name="ポートが閉じています").press("Enter")
    expect(page.locator("#answer")).to_have_text(told[1])
    assert page.url == address
    assert len(sent) == 2, "nothing is asked again"
    stored = page.evaluate("JSON.stringify(localStorage)")
    assert "ポートが閉じています" in stored
    assert told[1][:20] not in stored, "the answer stays with the server"
    page.get_by_role("button", name="履歴を消す").click()
    expect(page.locator("#history")).to_be_hidden()
    assert "ポート" not in page.evaluate("JSON.stringify(localStorage)")
    page.goto(f"{shared.app().url}/?answer=req_nobodys")
    expect(page.get_by_role("alert")).to_contain_text("もう残っていないか、ほかの利用者のものです")
    window.assert_clean(allowed="404")


def test_where_keys_are_on_the_history_goes_with_the_tab_and_answers_with_the_key(
    keyed: tuple[str, str, str], open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    url, mine, other = keyed
    window = open_window(1200, 900)
    page = window.page
    page.goto(url)
    expect(page.locator("#offer")).to_be_hidden()
    page.get_by_label("APIキー").fill(mine)
    page.get_by_label("質問", exact=True).focus()  # the key is taken without its button
    expect(page.locator("#offer")).to_contain_text("sim-a")
    page.get_by_label("質問", exact=True).fill("disk full on db-2")
    page.get_by_label("質問", exact=True).press("Control+Enter")
    expect(page.locator("#of")).to_have_text("disk full on db-2", timeout=60_000)
    assert "db-2" not in page.evaluate("JSON.stringify(localStorage)")
    stranger = page.context.new_page()
    stranger.goto(page.url)
    expect(stranger.get_by_role("alert")).to_contain_text("APIキーが必要です")
    stranger.get_by_label("APIキー").fill(other)
    stranger.get_by_label("APIキー").press("Enter")
    expect(stranger.get_by_role("alert")).to_contain_text("ほかの利用者のもの")
    expect(stranger.locator("#history")).to_be_hidden()
    stranger.get_by_label("APIキー").fill(mine)
    stranger.get_by_label("APIキー").press("Enter")
    expect(stranger.locator("#answer")).to_contain_text("（シミュレーション）")
    expect(page.locator("#history")).to_be_visible()
    page.get_by_label("APIキー").fill(other)  # somebody else at the same tab
    page.get_by_label("APIキー").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("ほかの利用者のもの")
    expect(page.locator("#history")).to_be_hidden()
    assert "db-2" not in page.evaluate("JSON.stringify(sessionStorage)")
    window.assert_clean(allowed="status of 40")


@each_row(
    "at, press",
    [
        *(("/", press) for press in ("the button", "a click without a mouse", "Enter")),
        ("/?answer=req_of_somebody_else", "Control+Enter"),
    ],
)
def test_a_key_that_was_typed_is_that_of_the_next_press(
    at: str, press: str, keyed: tuple[str, str, str], open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    url, key, _ = keyed
    window = open_window(1200, 900)
    page = window.page
    asked: list[str | None] = []
    page.on("request", lambda r: asked.append(r.headers.get("authorization")) if r.method == "POST" else None)
    page.goto(f"{url}{at}")
    page.get_by_label("質問", exact=True).fill(f"disk full, {press}, {at}")
    page.get_by_label("APIキー").press_sequentially(key)
    if press == "the button":
        page.get_by_role("button", name="質問する").click()
    elif press == "a click without a mouse":  # as assistive technology does, and the field keeps the focus
        page.get_by_role("button", name="質問する").evaluate("button => button.click()")
    else:
        page.get_by_label("APIキー").press(press)
    expect(page.locator("#answer")).to_contain_text("（シミュレーション）", timeout=60_000)
    assert asked == [f"Bearer {key}"]
    # Somebody else's key, and no other question: what is shown is read again, and nothing is paid twice.
    page.get_by_label("APIキー").fill("tsk_other")
    page.get_by_label("APIキー").press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert len(asked) == 1
    window.assert_clean(allowed="status of 40")


def test_what_a_tier_asks_and_costs_is_said_before_anything_is_sent(
    shared: Pool, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    window = open_window(1200, 900)
    page = window.page
    page.goto(shared.app().url)
    offer = page.locator("#offer")
    expect(offer).to_contain_text("sim-a, sim-b · ")
    expect(offer).to_contain_text("支払いはありません")
    page.get_by_label("重要").check()
    expect(offer).to_contain_text("sim-a, sim-b, sim-c")
    expect(offer).to_contain_text("この段階に必要な数： 4")
    short = offer.inner_text()
    page.get_by_label("質問", exact=True).fill("x" * 15_000)
    expect(offer).not_to_have_text(short)
    page.locator("#language").click()
    expect(offer).to_contain_text("costs at most $")
    window.assert_clean()

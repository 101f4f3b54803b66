"""The Ask page in a real browser: while an answer is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsers import Window, browser
from orchestrator import serving
from pool import Pool

pytestmark = pytest.mark.lab

SLOW = {
    name: {"kind": "simulated", "seed": seed, "accuracy": 1, "latency": {"mean": mean, "jitter": 0}}
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
    from playwright.sync_api import Request, expect

    window = open_window(1200, 900)
    page = window.page
    sent: list[str] = []

    def note(request: Request) -> None:
        if "/generate" in request.url:
            sent.append(str(request.post_data))

    page.on("request", note)
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

"""Labels in a real browser: under an answer, and by the page that a message leads to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from browsers import Window, browser
from orchestrator import serving
from servers import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


def test_an_answer_is_labelled_under_it_and_by_a_link_which_labels_nothing_itself(
    tmp_path: Path, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    audit = {"prompt": "masked", "answers": "masked"}
    with serving(tmp_path, audit=audit, locale="en") as app:

        def stored_labels() -> int:
            with closing(sqlite3.connect(tmp_path / "data" / "audit.sqlite")) as connection:
                return int(connection.execute("SELECT COUNT(*) FROM answer_labels").fetchone()[0])

        window = open_window(1200, 900)
        page = window.page
        page.goto(f"{app.url}/?lang=en")
        page.locator("#prompt").fill("The disk is full")
        page.locator("#send").click()
        expect(page.locator("#headline")).not_to_be_empty(timeout=60_000)
        expect(page.locator("#checks code").first).to_have_text("df -h")
        form = page.locator("#feedback form")
        of = httpx.URL(page.url).params["answer"]

        stored = f"{app.url}/api/v1/feedback/{of}"
        wait_for(lambda: httpx.get(stored, timeout=60).status_code == 200, what="the audit row written")
        link = f"{app.url}/feedback?id={of}&id=nobody-asked&lang=en"
        page.goto(link)
        expect(page.locator("article").first).to_contain_text("The disk is full")
        expect(page.locator("article").last).to_contain_text("with this id to label")
        assert "confidence" not in page.locator("article").first.inner_text().lower()
        assert stored_labels() == 0

        linked = page.locator("article form")
        linked.get_by_text("partly").check()
        linked.get_by_role("button").click()
        expect(linked.get_by_role("status")).to_contain_text("Stored: partly")
        assert stored_labels() == 1

        page.goto(f"{app.url}/?answer={of}&lang=ja")
        form.get_by_text("正しい", exact=True).check()
        form.get_by_text("解決した", exact=True).check()
        form.get_by_role("button").click()
        expect(form.get_by_role("status")).to_contain_text("記録しました：正しい")
        page.locator("#providers summary").first.click()
        expect(page.locator("#providers details[open] p").first).not_to_be_empty()
        page.goto(f"{app.url}/status?lang=ja")
        expect(page.locator("#records")).to_contain_text("正しい回答")

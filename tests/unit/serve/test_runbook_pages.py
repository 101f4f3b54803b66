"""The runbooks as pages of the app, where an alert's message leads."""

from __future__ import annotations

import re
from pathlib import Path

from instances import get
from orchestrator import make_app
from rows import each_row

from techsapo_ops.catalogue.pages import runbooks
from techsapo_ops.serve.pages.help_pages import _runbook_html
from techsapo_ops.serve.pages.status_report import _runbook


def test_every_alert_has_a_page_in_both_languages_and_each_of_its_links_opens(tmp_path: Path) -> None:
    pages = get(make_app(tmp_path), *(f"/runbooks/{name}" for name in runbooks()))
    assert {page.status_code for page in pages} == {200}
    linked = set()
    for name, page in zip(runbooks(), pages, strict=True):
        assert page.text.count(f"<h1>{name}</h1>") == 2
        assert page.text.count("<ol>") >= 2
        unread = re.search(r"\]\(|(?<!`)`(?!`)", page.text.partition("<main")[2])
        assert unread is None, "Markdown that was not read"
        linked |= set(re.findall(r'href="(/runbooks[^"]*)"', page.text))
    assert "/runbooks/RedisDown" in linked
    assert {page.status_code for page in get(make_app(tmp_path / "linked"), *sorted(linked))} == {200}


def test_the_language_is_that_of_the_stack_until_the_link_or_the_reader_says_another(tmp_path: Path) -> None:
    paths = (f"/runbooks/RedisErrors{query}" for query in ("", "?lang=en", "?lang=<b>"))
    own, asked, odd = get(make_app(tmp_path, locale="ja"), *paths)
    assert '<html lang="ja"' in own.text
    assert '<html lang="en"' in asked.text
    assert '"/runbooks/RedisDown?lang=en"' in asked.text
    assert odd.text == own.text
    (english,) = get(make_app(tmp_path / "en", locale="en"), "/runbooks/RedisErrors")
    assert '<html lang="en"' in english.text


@each_row("name", ["appdown", "%3Cscript%3E", "x" * 500])
def test_a_name_that_there_is_not_is_answered_404_with_the_list(tmp_path: Path, name: str) -> None:
    (page,) = get(make_app(tmp_path), f"/runbooks/{name}")
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert 'href="/runbooks/AppDown"' in page.text
    assert "<script>" not in page.text
    assert "x" * 500 not in page.text


CODE = ("<script>alert(1)</script>", '<img src=x onerror="alert(1)">')


@each_row("text", [*CODE, "[x](javascript:alert(1))", "[x](data:text/html,x)"])
def test_no_html_and_no_code_comes_through_a_page(text: str) -> None:
    made = _runbook_html(f"- {text}", "")
    assert not re.search(r"<(script|img|a)\b", made)


def test_the_status_page_opens_runbooks_where_its_reader_is() -> None:
    assert _runbook("https://ops.example.com/runbooks/AppDown") == "/runbooks/AppDown"
    for elsewhere in (
        "https://wiki.example/r/AppDown.md",
        "https://x.example/runbooks/Other",
        "",
        "docs/x.md",
    ):
        assert _runbook(elsewhere) == elsewhere

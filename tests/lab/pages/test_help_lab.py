"""The documentation as `make docs` builds it, served by an installed package and read in a real browser."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from browsers import Window, browser
from docsite.__main__ import build, pages
from orchestrator import serving
from servers import Server

from techsapo_ops.adapters.build import PACKAGED_LOCK, PACKAGED_PAGES, PACKAGED_TEMPLATES

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def open_window() -> Iterator[Callable[..., Window]]:
    with browser() as window:
        yield window


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    path = tmp_path_factory.mktemp("site") / PACKAGED_PAGES
    build(path)
    return path


@pytest.fixture(scope="module")
def app(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An instance of a package as a wheel has it: no docs/ beside it, the site within."""
    place = tmp_path_factory.mktemp("installed")
    package = place / "techsapo_ops"
    shutil.copytree(ROOT / "techsapo_ops", package, ignore=shutil.ignore_patterns("__pycache__", "_help*"))
    shutil.copytree(ROOT / "templates", package / PACKAGED_TEMPLATES)
    shutil.copy(ROOT / ".ci/requirements.lock", package / PACKAGED_LOCK)
    shutil.copy(archive, package / PACKAGED_PAGES)
    with serving(
        place / "stack", prefix=("env", f"PYTHONPATH={place}"), app={"auth": {"required": True}}
    ) as server:
        yield server


def test_the_site_has_every_page_and_asks_no_other_host(archive: Path) -> None:
    with zipfile.ZipFile(archive) as site:
        names = set(site.namelist())
        assert {f"{p.language}/{p.path.removesuffix('.md')}.html" for p in pages()} <= names
        for name in names:
            text = site.read(name).decode() if name.endswith(".html") else ""
            assert not re.search(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=.https?:", text), name
            assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", text), (
                f"{name} has a script or a style of its own"
            )


def test_a_reader_finds_a_page_by_search_in_both_languages(
    app: Server, open_window: Callable[..., Window]
) -> None:
    from playwright.sync_api import expect

    for language, typed, found in (
        ("ja", "復旧カード", "復旧カード"),
        ("en", "recovery card", "recovery card"),
    ):
        window = open_window(1300, 900)
        page = window.page
        page.goto(f"{app.url}/help?lang={language}")
        assert page.url == f"{app.url}/help/{language}/index.html"
        box = page.locator("dialog input").first
        # The key opens the search once the page's script has run.
        for _ in range(60):
            page.keyboard.press("/")
            with suppress(AssertionError):
                expect(box).to_be_focused(timeout=1000)
                break
        page.keyboard.type(typed)
        expect(page.locator("dialog").get_by_text(found).first).to_be_visible(timeout=60_000)
        window.assert_clean()


def test_a_reader_follows_links_to_the_other_language_and_to_a_runbook(
    app: Server, open_window: Callable[..., Window]
) -> None:
    window = open_window(1300, 900)
    page = window.page
    page.goto(f"{app.url}/help/en/certificates.html")
    page.get_by_role("link", name="日本語", exact=True).last.click()
    page.wait_for_url("**/help/ja/certificates.html")
    page.goto(f"{app.url}/help/en/reference/alerts.html")
    page.get_by_role("link", name="AppDown", exact=True).first.click()
    page.wait_for_url("**/runbooks/AppDown?lang=en")
    window.assert_clean()


def test_what_is_served_needs_no_key_and_is_kept_by_browsers(app: Server, archive: Path) -> None:
    with (
        zipfile.ZipFile(archive) as site,
        httpx.Client(base_url=app.url, timeout=60, trust_env=False) as client,
    ):
        for name in site.namelist():
            if name.endswith(("LICENSE", ".txt")):
                continue
            answer = client.get(f"/help/{name}")
            assert (answer.status_code, answer.content) == (200, site.read(name)), name
            hashed = re.search(r"\.[0-9a-f]{8}\.min\.", name)
            assert answer.headers["cache-control"] == (
                "public, max-age=31536000, immutable" if hashed else "no-cache"
            )
        assert client.get("/help/../server.log").status_code == 404
        assert client.get("/help/%2e%2e/%2e%2e/etc/passwd").status_code == 404

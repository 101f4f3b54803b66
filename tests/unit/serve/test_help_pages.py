"""The documentation under /help: from a checkout's docs/, and from the archive that `make docs` builds."""

from __future__ import annotations

import asyncio
import re
import zipfile
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from instances import within
from orchestrator import make_app

from techsapo_ops.adapters.build import PACKAGED_PAGES
from techsapo_ops.cli.reference import reference_pages
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.pages import help_pages
from techsapo_ops.serve.pages.help_pages import Made, Reference, help_routes, pages_of

ROOT = Path(__file__).parents[3]


def get(
    package: Path, *paths: str, headers: dict[str, str] | None = None, reference: Reference | None = None
) -> list[httpx.Response]:
    app = FastAPI()
    app.include_router(help_routes("ja", reference or {}, package))

    @app.exception_handler(Problem)
    async def told(request: object, problem: Problem) -> httpx.Response:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse(str(problem.detail), problem.status)  # type: ignore[return-value]

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return [await client.get(path, headers=headers) for path in paths]

    return asyncio.run(main())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A package in a checkout with two pages, and what must not be read: files outside, and links to them."""
    docs = tmp_path / "docs"
    (docs / "decisions").mkdir(parents=True)
    (docs / "images").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "secret.md").write_text("of the host")
    (docs / "index.md").write_text(
        "# Pages & more\n\n<!-- made -->\n\n[日本語](index.ja.md) [how](decisions/README.md#why-so) [down]"
        "(../techsapo_ops/catalogue/runbooks/AppDown.md)\n\n<script>alert(1)</script>\n"
    )
    (docs / "index.ja.md").write_text("# ページ\n\n[English](index.md)\n\n| a | b |\n| - | -: |\n| 1 | 2 |\n")
    (docs / "decisions" / "README.md").write_text("# Decisions\n\n## Why so?\n\n[up](../index.md)\n")
    (docs / "linked.md").symlink_to(tmp_path / "secret.md")
    (docs / "images" / "up.svg").symlink_to(tmp_path / "secret.md")
    (tmp_path / "techsapo_ops").mkdir()
    return tmp_path / "techsapo_ops"


def test_a_checkouts_pages_are_made_when_they_are_asked_for(checkout: Path) -> None:
    english, japanese, decisions = get(
        checkout, "/help/en/index.html", "/help/ja/index.html", "/help/en/decisions/index.html"
    )
    assert '<h1 id="pages--more">Pages &amp; more</h1>' in english.text
    assert 'href="/help/ja/index.html"' in english.text
    assert 'href="/help/en/decisions/index.html#why-so"' in english.text
    assert 'href="/runbooks/AppDown?lang=en"' in english.text
    assert "made" not in english.text
    assert "<script>" not in english.text
    assert '<html lang="ja"' in japanese.text
    assert '<td align="right">2</td>' in japanese.text
    assert '<h2 id="why-so">' in decisions.text
    assert 'href="/help/en/index.html"' in decisions.text


def test_help_leads_to_the_stacks_language_or_the_one_that_is_asked_for(checkout: Path) -> None:
    for path, there in (
        ("/help", "ja"), ("/help/", "ja"), ("/help?lang=en", "en"), ("/help/en", "en"), ("/help/ja/", "ja"),
    ):  # fmt: skip
        (answer,) = get(checkout, path)
        assert (answer.status_code, answer.headers["location"]) == (307, f"/help/{there}/index.html")


def test_nothing_else_can_be_read(checkout: Path) -> None:
    for answer in get(
        checkout,
        "/help/en/linked.html", "/help/images/up.svg", "/help/../secret.md", "/help/en/../../secret.md",
        "/help/%2e%2e/secret.md", "/help/en/..%2f..%2fsecret.html", "/help//etc/passwd", "/help/en/%00",
        "/help/en/nothing.html", "/help/en/index.md",
    ):  # fmt: skip
        assert answer.status_code == 404, answer.url
        assert "of the host" not in answer.text


def test_a_built_site_is_served_out_of_its_archive_and_kept_by_browsers(checkout: Path) -> None:
    with zipfile.ZipFile(checkout / PACKAGED_PAGES, "w") as archive:
        archive.writestr("en/index.html", "built")
        archive.writestr("en/assets/a.0123abcd.min.js", "1")
        archive.writestr("en/assets/odd.exe", "1")
    page, script, odd = get(
        checkout, "/help/en/index.html", "/help/en/assets/a.0123abcd.min.js", "/help/en/assets/odd.exe"
    )
    assert (page.text, page.headers["cache-control"]) == ("built", "no-cache")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    assert odd.status_code == 404
    (again,) = get(checkout, "/help/en/index.html", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_reference_is_in_a_package_without_other_pages(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("of another package")
    package = tmp_path / "techsapo_ops"
    package.mkdir()
    index, alerts, other = get(
        package,
        "/help/en/index.html", "/help/ja/reference/alerts.html", "/help/en/backup.html",
        reference=reference_pages(),
    )  # fmt: skip
    assert "of another package" not in index.text
    assert 'href="/help/en/reference/commands.html"' in index.text
    assert 'href="/runbooks/AppDown?lang=ja"' in alerts.text
    assert other.status_code == 404


def test_the_index_of_a_checkout_ends_with_the_reference(checkout: Path) -> None:
    (index,) = get(checkout, "/help/en/index.html", reference=reference_pages())
    assert index.text.index("Pages &amp; more") < index.text.index('href="/help/en/reference/metrics.html"')


def test_half_an_archive_is_none(checkout: Path) -> None:
    (checkout / PACKAGED_PAGES).write_bytes(b"PK\x03\x04 and no more")
    assert isinstance(pages_of(checkout, {}), Made)


def test_pages_of_docs_open_without_a_key_and_their_links_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, locale="ja", app={"auth": {"required": True}})
    pages = Made(ROOT / "docs", reference_pages())
    monkeypatch.setattr(help_pages, "pages_of", lambda package, reference: pages)

    async def work(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
        some = sorted(pages.names)[::12]  # each takes its time; that no link is dead is tried on the sources
        return {name: await client.get(f"/help/{name}") for name in some}

    answers = within(app, work)
    assert {answer.status_code for answer in answers.values()} == {200}
    for name, answer in answers.items():
        assert " style=" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        linked = set(re.findall(r'href="/help/([^"#]*)', answer.text.partition("<main")[2]))
        pages_missing = {each for each in linked if each.endswith(".html") and each not in pages.names}
        assert not pages_missing, name

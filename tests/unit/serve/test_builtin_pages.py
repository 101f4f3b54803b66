from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from orchestrator import client_of, make_parts

WEB = files("techsapo_ops.serve") / "web"


def get(directory: Path, *paths: str, locale: str = "ja", **headers: str) -> list[httpx.Response]:
    parts = make_parts(directory, locale=locale)

    async def main() -> list[httpx.Response]:
        async with client_of(parts) as client:
            return [await client.get(path, headers=headers) for path in paths]

    return asyncio.run(main())


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_pages_start_in_the_specs_language(tmp_path: Path, locale: str) -> None:
    for page in get(tmp_path, "/", "/docs", locale=locale):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f'<html lang="{locale}" data-locale="{locale}">' in page.text
        assert "__LOCALE__" not in page.text


def test_everything_that_a_page_names_is_served_from_here(tmp_path: Path) -> None:
    for page in get(tmp_path / "pages", "/", "/docs"):
        named = re.findall(r'(?:src|href)="(/[^"#]*)"', page.text)
        assert {r.status_code for r in get(tmp_path / "files", *named)} == {200}


def test_no_page_fetches_from_elsewhere_or_needs_inline_code() -> None:
    for entry in WEB.iterdir():
        text = entry.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, entry.name
        assert "https://" not in text, entry.name
        if entry.name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son\w+=", text), entry.name
        if entry.name.endswith(".js"):
            assert "innerHTML" not in text
            assert ".style" not in text


def test_both_languages_have_every_word() -> None:
    text = (WEB / "words.js").read_text(encoding="utf-8")
    ja, en = text.split("\n  en: {")
    keys = re.compile(r"(?:^|[{,\s])([A-Za-z_]+): [\"{]")
    assert sorted(keys.findall(ja.split("ja: {")[1])) == sorted(keys.findall(en.split("\n};")[0]))


@pytest.mark.parametrize("path", ["/web/../app.py", "/web/%2e%2e/app.py", "/web/app.py", "/web/", "/web/a/b"])
def test_only_the_pages_own_files_are_served(tmp_path: Path, path: str) -> None:
    (response,) = get(tmp_path, path)
    assert response.status_code == 404


def test_an_unchanged_file_is_not_sent_again(tmp_path: Path) -> None:
    (first,) = get(tmp_path / "a", "/web/ask.js")
    (again,) = get(tmp_path / "b", "/web/ask.js", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_api_description_names_the_routes_and_their_problems(tmp_path: Path) -> None:
    (response,) = get(tmp_path, "/openapi.json")
    paths = response.json()["paths"]
    assert set(paths) == {
        "/health", "/api/v1/health", "/ping", "/metrics", "/api/v1/generate", "/api/v1/analyze-logs",
        "/v1/models", "/v1/models/{name}", "/v1/chat/completions",
    }  # fmt: skip
    answers = paths["/api/v1/generate"]["post"]["responses"]
    assert {"200", "413", "422", "503", "504"} <= set(answers)
    assert list(answers["413"]["content"]) == ["application/problem+json"]

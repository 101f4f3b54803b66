"""No answer with data may be kept by a browser or a proxy; the pages' own files may."""

from __future__ import annotations

from pathlib import Path

import httpx
from instances import get, within
from orchestrator import make_app

ENDLESS = {("get", "/api/v1/metrics/stream")}
"""Its head is sent by serve/streams.py, as of all event streams; it ends with its client alone."""


def test_every_operation_says_that_its_answer_is_not_to_be_kept(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> dict[str, str | None]:
        paths = (await client.get("/openapi.json")).json()["paths"]
        operations = {(method, path) for path, methods in paths.items() for method in methods}
        assert operations >= ENDLESS
        found = {}
        for method, path in sorted(operations - ENDLESS):
            for body in ({}, {"prompt": "disk full"}) if method == "post" else ({},):
                given = {"json": body} if method == "post" else {}
                answer = await client.request(method.upper(), path.replace("{", "").replace("}", ""), **given)
                found[f"{method} {path} {answer.status_code}"] = answer.headers.get("cache-control")
        for path in ("/openapi.json", "/nothing", "/web/nothing.js"):
            found[path] = (await client.get(path)).headers.get("cache-control")
        return found

    found = within(app, work)
    assert len(found) > 10
    assert {path: said for path, said in found.items() if said != "no-store"} == {}


def test_a_page_and_its_files_are_kept_and_asked_for_again(tmp_path: Path) -> None:
    answers = get(make_app(tmp_path), "/", "/status", "/web/words.js", "/favicon.ico")
    assert {answer.headers.get("cache-control") for answer in answers} == {"no-cache"}

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from orchestrator import client_of, make_app
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.serve.auth import key_ring
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.stores.keys import KeyFile, Plan, new_key

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@each_row("content", ["", "[]", '{"keys": [{}]}', "\0", '{"keys": 5}'])
def test_a_broken_file_is_told_and_production_does_not_start_on_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(OpsError, match="is not a file of API keys"):
        KeyFile(path).read()
    with pytest.raises(OpsError, match="is not a file of API keys"):
        key_ring(Auth(required=True, refuse_without_keys=True), path)


def test_an_open_api_has_no_keys(tmp_path: Path) -> None:
    assert key_ring(Auth(required=False), tmp_path / "keys.json") is None


@each_row("plan, limit", [("basic", 100), ("standard", 1000), ("premium", 5000)])
def test_a_plan_allows_so_many_requests_a_minute_and_every_answer_says_so(
    tmp_path: Path, plan: Plan, limit: int
) -> None:
    key, shown = new_key("ci", plan=plan, scopes=("ask",), now=NOW)
    KeyFile(tmp_path / "api-keys.json").write((key,))
    app = make_app(tmp_path, app={"auth": {"required": True}})

    async def main() -> list[httpx.Response]:
        async with client_of(app) as client:
            headers = {"Authorization": f"Bearer {shown}"}
            url = "/api/v1/generate"
            bodies: list[dict[str, str]] = [{"prompt": "x"}, {"wrong": "x"}]
            return [await client.post(url, json=body, headers=headers) for body in bodies]

    answers = asyncio.run(main())
    assert [r.status_code for r in answers] == [200, 422]
    assert [r.headers["x-ratelimit-limit"] for r in answers] == [str(limit)] * 2
    assert [int(r.headers["x-ratelimit-remaining"]) for r in answers] == [limit - 1, limit - 2]
    assert all("retry-after" not in r.headers for r in answers)

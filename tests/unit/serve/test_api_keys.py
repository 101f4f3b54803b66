from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import redis
from alembic.config import Config
from alembic.script import ScriptDirectory
from orchestrator import client_of, make_parts

from techsapo_ops.adapters.audit_migrate import HEAD, MIGRATIONS
from techsapo_ops.adapters.budget import NANO, Ledger, nano
from techsapo_ops.adapters.keys import ApiKey, KeyFile, KeyRefused, KeyRing, Plan, Scope, new_key
from techsapo_ops.adapters.redis_link import HUNG_PAUSE, PAUSE, pause_after
from techsapo_ops.errors import OpsError
from techsapo_ops.serve.auth import key_ring
from techsapo_ops.spec.models.app import Auth

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def made(name: str = "ci", scopes: tuple[Scope, ...] = ("ask",)) -> tuple[ApiKey, str]:
    return new_key(name, plan="basic", scopes=scopes, now=NOW)


def reason(ring: KeyRing, given: str | None, scope: Scope = "ask") -> str:
    with pytest.raises(KeyRefused) as refused:
        ring.check(given, scope)
    return refused.value.reason


def test_what_a_key_can_not_open_is_told_apart(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    good, shown = made()
    gone, shown_gone = made()
    old, shown_old = made()
    past = datetime.now(UTC) - timedelta(seconds=1)
    file.write((good, replace(gone, revoked=NOW), replace(old, expires=past)))
    ring = KeyRing(file)
    assert ring.check(shown, "ask") == good
    wrong = shown[:-1] + ("A" if shown[-1] != "A" else "B")
    assert reason(ring, None) == "missing"
    assert reason(ring, "") == "missing"
    assert reason(ring, "hunter2") == "malformed"
    assert reason(ring, shown + "\n") == "malformed"
    assert reason(ring, wrong) == "unknown"
    assert reason(ring, made()[1]) == "unknown"
    assert reason(ring, shown_gone) == "revoked"
    assert reason(ring, shown_old) == "expired"
    assert reason(ring, shown, "monitor") == "scope"


def test_keys_come_back_from_their_file_as_they_were_and_are_never_in_it(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    full, shown = new_key(
        "鍵", plan="premium", scopes=("ask", "monitor"), now=NOW, expires=NOW, per_minute=7, monthly_usd=5.0
    )
    file.write((full,))
    assert file.read() == (full,)
    assert shown not in file.path.read_text()
    assert len({made()[1] for _ in range(100)}) == 100


def test_revoking_needs_an_active_key_and_names_those_there_are(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    key, _ = made("ci")
    file.write((key,))
    with pytest.raises(OpsError, match="no active key 'nobody'") as refused:
        file.revoke("nobody", NOW)
    assert f"{key.id} (ci)" in refused.value.hint
    file.revoke("ci", NOW)
    with pytest.raises(OpsError, match="no active key"):
        file.revoke("ci", NOW)


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{}]}', "\0", '{"keys": 5}'])
def test_a_broken_file_is_told_and_production_does_not_start_on_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(OpsError, match="is not a file of API keys"):
        KeyFile(path).read()
    with pytest.raises(OpsError, match="is not a file of API keys"):
        key_ring(Auth(required=True, refuse_without_keys=True), path)


def test_an_open_api_has_no_keys(tmp_path: Path) -> None:
    assert key_ring(Auth(required=False), tmp_path / "keys.json") is None


def test_a_ledger_ends_with_its_utc_day_or_month() -> None:
    last = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert Ledger.of("", "day", 1, last).reset == datetime(2027, 1, 1, tzinfo=UTC)
    assert Ledger.of("", "month", 1, last).reset == datetime(2027, 1, 1, tzinfo=UTC)
    assert Ledger.of("", "month", 1, datetime(2028, 2, 29, tzinfo=UTC)).reset == datetime(
        2028, 3, 1, tzinfo=UTC
    )


def test_dollars_become_whole_nano_dollars_and_never_fewer() -> None:
    assert nano(0.1) == NANO // 10
    assert nano(0.1 + 0.2) == 3 * NANO // 10
    assert nano(1e-10) == 1
    assert nano(0) == 0


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


@pytest.mark.parametrize(("plan", "limit"), [("basic", 100), ("standard", 1000), ("premium", 5000)])
def test_a_plan_allows_so_many_requests_a_minute_and_every_answer_says_so(
    tmp_path: Path, plan: Plan, limit: int
) -> None:
    key, shown = new_key("ci", plan=plan, scopes=("ask",), now=NOW)
    KeyFile(tmp_path / "api-keys.json").write((key,))
    parts = make_parts(tmp_path, app={"auth": {"required": True}})

    async def main() -> list[httpx.Response]:
        async with client_of(parts) as client:
            headers = {"Authorization": f"Bearer {shown}"}
            url = "/api/v1/generate"
            bodies: list[dict[str, str]] = [{"prompt": "x"}, {"wrong": "x"}]
            return [await client.post(url, json=body, headers=headers) for body in bodies]

    answers = asyncio.run(main())
    assert [r.status_code for r in answers] == [200, 422]
    assert [r.headers["x-ratelimit-limit"] for r in answers] == [str(limit)] * 2
    assert [int(r.headers["x-ratelimit-remaining"]) for r in answers] == [limit - 1, limit - 2]
    assert all("retry-after" not in r.headers for r in answers)


def test_a_redis_that_hangs_is_left_alone_for_longer_than_one_that_refuses() -> None:
    assert pause_after(redis.TimeoutError()) == pause_after(TimeoutError()) == HUNG_PAUSE
    assert pause_after(redis.ConnectionError()) == pause_after(ConnectionRefusedError()) == PAUSE
    assert HUNG_PAUSE > PAUSE

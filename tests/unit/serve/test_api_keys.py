"""API keys: what each may do, and who a row of the audit log says it was."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import URL, send, within
from orchestrator import make_app
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.serve.http.auth import key_ring
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


def test_a_plan_or_a_keys_own_number_allows_so_many_requests_a_minute_and_every_answer_says_so(
    tmp_path: Path,
) -> None:
    plans: dict[Plan, int] = {"basic": 100, "standard": 1000, "premium": 5000}
    keys = {plan: new_key(plan, plan=plan, scopes=("ask",), now=NOW) for plan in plans}
    own, shown = new_key("own", plan="premium", scopes=("ask",), now=NOW)
    made = [(key, shown, plans[plan]) for plan, (key, shown) in keys.items()]
    made.append((replace(own, per_minute=7), shown, 7))
    KeyFile(tmp_path / "api-keys.json").write(tuple(key for key, *_ in made))
    app = make_app(tmp_path, app={"auth": {"required": True}})
    asked = [
        ("POST", URL, {"json": body, "headers": {"Authorization": f"Bearer {key}"}})
        for _, key, _ in made
        for body in ({"prompt": "x"}, {"wrong": "x"})
    ]
    answered = iter(send(app, *asked))
    for *_, limit in made:
        answers = [next(answered), next(answered)]
        assert [r.status_code for r in answers] == [200, 422]
        assert [r.headers["x-ratelimit-limit"] for r in answers] == [str(limit)] * 2
        left = [int(r.headers["x-ratelimit-remaining"]) for r in answers]
        assert left in ([limit - 1, limit - 2], [limit - 1] * 2), "in between a new minute may have begun"
        assert all("retry-after" not in r.headers for r in answers)


SAYS = {"X-User-ID": "root"}


def row_of(directory: Path, headers: dict[str, str], **sections: Any) -> dict[str, Any]:
    """The row that one question with `headers` leaves."""
    app = make_app(directory, **sections)

    async def work(client: httpx.AsyncClient) -> int:
        url = "/api/v1/generate"
        return (await client.post(url, json={"prompt": "502"}, headers=headers)).status_code

    assert within(app, work) == 200
    with sqlite3.connect(directory / "data" / "audit.sqlite") as db:
        db.row_factory = sqlite3.Row
        return dict(db.execute("SELECT * FROM audit_requests").fetchone())


def test_the_actor_is_the_keys_name_whatever_the_client_calls_itself(tmp_path: Path) -> None:
    key, shown = new_key("ci", plan="basic", scopes=("ask",), now=datetime(2026, 11, 24, tzinfo=UTC))
    KeyFile(tmp_path / "api-keys.json").write((key,))
    needed = {"auth": {"required": True}}
    row = row_of(tmp_path, {"Authorization": f"Bearer {shown}", **SAYS}, app=needed)
    assert (row["user_id"], row["key_id"]) == ("ci", key.id)
    assert row["claimed_user"] == "root", "what the client said is kept apart"


def test_where_no_key_is_needed_the_user_is_whom_the_client_names(tmp_path: Path) -> None:
    row = row_of(tmp_path, SAYS)
    assert (row["user_id"], row["key_id"]) == ("root", None)

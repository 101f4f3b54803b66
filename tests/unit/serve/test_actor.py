"""Who a row of the audit log says it was."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from instances import within
from orchestrator import make_app

from techsapo_ops.stores.keys import KeyFile, new_key

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

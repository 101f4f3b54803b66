"""Which alerts the form silences: those that there are, and never the one that notices silence."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from orchestrator import client_of, make_spec
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.stores.keys import KeyFile, new_key


@each_row(
    "name, status, word, detail",
    [
        ("Watchdog", 403, "silenceWatchdog", "Watchdog can't be silenced"),
        ("DiskFillling", 404, "silenceUnknown", "there is no such alert"),
        ("watchdog", 404, "silenceUnknown", "there is no such alert"),
    ],
)
def test_what_is_no_alert_and_the_watchdog_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: int, word: str, detail: str
) -> None:
    made: list[object] = []
    monkeypatch.setattr(Alertmanager, "silence", lambda _, *given: made.append(given) or "id")
    kept, shown = new_key("ops", plan="basic", scopes=("operate",), now=datetime.now(UTC))
    KeyFile(tmp_path / "api-keys.json").write((kept,))
    app = App(
        Options(
            make_spec(app={"auth": {"required": True}}), "app-1", tmp_path / "data",
            alertmanager="http://127.0.0.1:1",
        )
    )  # fmt: skip

    async def main() -> tuple[httpx.Response, httpx.Response]:
        body, headers = {"hours": 1, "comment": "x"}, {"Authorization": f"Bearer {shown}"}
        async with client_of(app) as client:
            page = await client.get(f"/alerts/{name}/silence")
            return page, await client.post(f"/api/v1/alerts/{name}/silence", json=body, headers=headers)

    page, refused = asyncio.run(main())
    assert (page.status_code, refused.status_code) == (200 if name == "Watchdog" else 404, status)
    assert f'data-text="{word}"' in page.text
    assert "<form" not in page.text
    assert refused.json()["detail"].startswith(detail)
    assert made == []

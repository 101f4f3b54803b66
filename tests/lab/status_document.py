"""What the Status page is told in the lab: the API's own document, with parts in the place of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

ALERT = {
    "name": "AppDown", "severity": "critical", "instance": "", "state": "firing",
    "since": "2026-11-27T01:00:00+00:00", "until": None, "description": "", "runbook": "",
    "acknowledged": None,
    "summary": "app-1 が停止しています", "summaries": {"ja": "app-1 が停止しています", "en": "app-1 is down"},
}  # fmt: skip


ROWS = (("any_instance", ""), ("instance", "app-1"), ("server", "redis"))


def told_by(url: str, **more: Any) -> dict[str, Any]:
    """What the API tells, with `more` in its place."""
    document: dict[str, Any] = httpx.get(f"{url}/api/v1/status", trust_env=False, timeout=60).json()
    return {**document, **more}


def told_of_days() -> dict[str, Any]:
    """Ninety days: the first thirty unknown, one half known, one half down, the rest up."""
    first = datetime(2026, 8, 30, tzinfo=UTC)
    days = [(first + timedelta(days=n)).date().isoformat() for n in range(90)]
    up: list[float | None] = [None] * 30 + [1.0] * 60
    known = [0.0] * 30 + [1.0] * 60
    up[40], known[50] = 0.5, 0.5
    rows: list[dict[str, Any]] = [{"kind": k, "name": name, "up": up, "known": known} for k, name in ROWS]
    asked = {"up": [None] * 89 + [0.25], "known": [0.0] * 89 + [1.0], "asked": [0] * 89 + [40]}
    rows.append({"kind": "questions", "name": "", **asked})
    return {"watched": "ready", "days": days, "rows": rows}

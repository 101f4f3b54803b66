"""What the Status page is told in the lab: the API's own document, with parts in the place of its own."""

from __future__ import annotations

from typing import Any

import httpx

ALERT = {
    "name": "AppDown", "severity": "critical", "instance": "", "state": "firing",
    "since": "2026-11-27T01:00:00+00:00", "until": None, "description": "", "runbook": "",
    "acknowledged": None,
    "summary": "app-1 が停止しています", "summaries": {"ja": "app-1 が停止しています", "en": "app-1 is down"},
}  # fmt: skip


def told_by(url: str, **more: Any) -> dict[str, Any]:
    """What the API tells, with `more` in its place."""
    document: dict[str, Any] = httpx.get(f"{url}/api/v1/status", trust_env=False, timeout=60).json()
    return {**document, **more}

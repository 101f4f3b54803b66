"""Logs in Grafana Loki: https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-logs-within-a-range-of-time"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from techsapo_ops.adapters.http import Answer, fetch
from techsapo_ops.adapters.log_lines import Level as Said
from techsapo_ops.adapters.tls import SYSTEM
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.readers.lines import Window, lines_of
from techsapo_ops.messages import msg

MOST_ENTRIES = 5_000
"""Loki's own limit, where nobody has changed it (`max_entries_limit_per_query`)."""
_MOST_BYTES = 8 * 1024 * 1024
_SECONDS = 3.0
_LEVELS: Mapping[str, Said] = {
    "critical": "error", "fatal": "error", "error": "error", "warn": "warn", "warning": "warn",
    "info": "info", "debug": "debug", "trace": "debug",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loki:
    """The streams that `query` selects in the Loki at `url`, of the service `service`."""

    url: str
    query: str
    service: str = ""

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """The newest lines in the window. Raises Unreachable, or OpsError with what Loki says."""
        parameters = {
            "query": self.query,
            "start": str(int(start.timestamp() * 1e9)),
            "end": str(int(end.timestamp() * 1e9)),
            "limit": str(MOST_ENTRIES),
            "direction": "backward",
        }
        answer = fetch(
            f"{self.url.rstrip('/')}/loki/api/v1/query_range",
            timeout=_SECONDS, limit=_MOST_BYTES, params=parameters, trust=SYSTEM,
        )  # fmt: skip
        entries = sorted(_entries(answer), key=lambda entry: entry[0])
        lines = lines_of(entries, Window(start, end, subject.began), service=self.service)
        return Material(subject, start, end, lines=lines)

    def readable(self) -> None:
        """Raise Unreachable where no Loki answers, OpsError where it refuses the query."""
        now = datetime.now(UTC)
        self(Subject(now), now, now)


def _entries(answer: Answer) -> list[tuple[datetime, str, Said | None]]:
    try:
        data: dict[str, Any] = json.loads(answer.body)["data"]
        if data["resultType"] != "streams":
            raise OpsError(
                msg("the query returns no log lines but a {type}", type=str(data["resultType"])[:40])
            )
        return [
            (datetime.fromtimestamp(int(value[0]) / 1e9, UTC), str(value[1]), _level(stream["stream"]))
            for stream in data["result"]
            for value in stream["values"]
        ]
    except (ValueError, KeyError, TypeError, IndexError, OverflowError):
        # A refusal is plain text: `parse error at line 1, …`.
        said = msg("the answer is too long") if answer.truncated else answer.text.strip()[:200]
        raise OpsError(
            msg("{url}: HTTP {status}: {text}", url=answer.url, status=answer.status, text=said)
        ) from None


def _level(labels: dict[str, str]) -> Said | None:
    """What the stream's labels say of all its lines."""
    return _LEVELS.get(str(labels.get("level", labels.get("detected_level", ""))).lower())

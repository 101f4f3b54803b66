"""A flood of refused requests leaves the log what it is for."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from instances import URL, send
from orchestrator import make_app

from techsapo_ops.serve.logs import REFUSED_LINES, configure_logs
from techsapo_ops.spec.models.data import Logs

Log = tuple[io.StringIO, list[float]]
"""What was written, and the time."""


@pytest.fixture
def log() -> Iterator[Log]:
    stream, now = io.StringIO(), [1000.0]
    configure_logs(Logs(), "app-1", stream, lambda: now[0])
    yield stream, now
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def flood(count: int, reason: str = "401") -> None:
    for _ in range(count):
        structlog.get_logger().info("HTTP request", status=401, refused=reason)


def test_lines_of_one_reason_are_bounded_and_the_last_one_says_so(log: Log) -> None:
    stream, now = log
    flood(1000)
    first, *_, last = lines(stream)
    assert len(lines(stream)) == REFUSED_LINES
    assert "refused" not in first, "it is no field of the line"
    assert ("more" in first, "more" in last) == (False, True)
    now[0] += 60
    flood(1000)
    assert len(lines(stream)) == 2 * REFUSED_LINES


def test_another_reason_and_what_is_about_no_refused_request_is_written(log: Log) -> None:
    stream, _ = log
    flood(1000)
    flood(1, "404")
    for n in range(100):
        structlog.get_logger().error("Provider failed", provider=f"{n}")
    assert Counter(line["message"] for line in lines(stream)) == {
        "HTTP request": REFUSED_LINES + 1,
        "Provider failed": 100,
    }


def test_a_flood_without_keys_leaves_the_lines_of_a_failed_analysis(tmp_path: Path, log: Log) -> None:
    stream, _ = log
    app = make_app(tmp_path, app={"auth": {"required": True}})

    for_keys = [("POST", URL, {"json": {}, "headers": {"X-API-Key": f"{n}"}}) for n in range(60)]
    send(app, *for_keys, *(("GET", f"/.env?{n}", {}) for n in range(60)))
    told = Counter(line["message"] for line in lines(stream))
    assert told["HTTP request"] == 2 * REFUSED_LINES, "those of 401 and those of 404"
    assert told["Authentication failed"] == REFUSED_LINES
    assert told["Anomalous request"] == REFUSED_LINES + 1, "each of the paths, and once that they are many"

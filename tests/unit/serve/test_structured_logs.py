"""The log: its fields, nothing of a question, and a flood of refusals leaves it what it is for."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from instances import URL, send
from orchestrator import client_of, make_app

from techsapo_ops.serve.metrics.logs import REFUSED_LINES, configure_logs
from techsapo_ops.spec.models.upkeep import Logs
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.simulated import Simulated

PROMPT = "秘密の質問: hunter2 でログインできない"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the logs go for one test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def ask(directory: Path, stream: io.StringIO, level: str = "info", **sections: Any) -> list[dict[str, Any]]:
    app = make_app(directory, **sections)
    configure_logs(Logs.model_validate({"level": level}), "app-1", stream)

    headers = {"X-Request-ID": "req_12345", "X-User-ID": "user_abc"}
    send(app, ("POST", URL, {"json": {"prompt": PROMPT}, "headers": headers}), ("GET", "/ping", {}))
    return lines(stream)


def test_a_finished_analysis_is_one_line_with_the_guides_fields(tmp_path: Path, stream: io.StringIO) -> None:
    (line,) = [e for e in ask(tmp_path, stream) if e["message"] == "Wall-bounce analysis completed"]
    assert not [e for e in lines(stream) if e.get("route") == "/ping"], "probes are told at debug only"
    assert list(line)[:4] == ["timestamp", "level", "message", "instance"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["requestId"], line["userId"]) == ("info", "req_12345", "user_abc")
    assert line["providers"] == ["sim-a", "sim-b"]
    assert all(0 < line[score] <= 1 for score in ("confidence", "consensus"))
    assert (line["processingTime"] >= 0, line["cost"] > 0) == (True, True)


def test_below_a_threshold_the_line_is_a_warning(tmp_path: Path, stream: io.StringIO) -> None:
    never = {"providers": 2, "confidence": 1.0}
    high = {"tiers": {"basic": never, "premium": never, "critical": never}}
    told = ask(tmp_path, stream, wallbounce=high)
    levels = {e["level"] for e in told if e["message"] == "Wall-bounce analysis completed"}
    assert levels == {"warn"}


def test_why_a_provider_failed_is_told_in_the_vendors_words_without_what_they_repeat_of_the_question(
    tmp_path: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor repeats the question and a personal address; neither may be in the log."""

    async def refuse(self: Simulated, ask: object) -> None:
        told = f"HTTP 401: no key for taro@example.co.jp, who asked '{PROMPT}' today"
        raise ProviderError(FailureKind.REFUSED, told, cause=Cause.KEY)

    monkeypatch.setattr(Simulated, "call", refuse)
    told = ask(tmp_path, stream)
    failed = [e for e in told if e["message"] == "Provider failed"]
    assert {e["provider"] for e in failed} >= {"sim-a", "sim-b"}
    for line in failed:
        assert (line["kind"], line["cause"], line["requestId"]) == ("refused", "key", "req_12345")
        assert line["detail"].startswith("HTTP 401: no key for ")
        assert line["detail"].endswith(", who asked '[…]' today")
    assert "hunter2" not in stream.getvalue()
    assert "taro@" not in stream.getvalue()
    (line,) = [e for e in told if e["message"] == "Wall-bounce analysis failed"]
    assert "sim-a: refused (key)" in line["detail"]


def test_the_prompt_is_in_no_line_at_any_level(tmp_path: Path, stream: io.StringIO) -> None:
    assert ask(tmp_path, stream, level="debug")
    assert "hunter2" not in stream.getvalue()


def test_the_level_of_the_spec_holds_for_our_own_and_for_library_lines(
    tmp_path: Path, stream: io.StringIO
) -> None:
    told = ask(tmp_path, stream, level="error")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("techsapo.audit").error("rows wait", extra={"rows": 3})
    assert told == []
    (line,) = lines(stream)
    assert (line["level"], line["message"], line["rows"]) == ("error", "rows wait", 3)


def test_an_exception_is_one_line(stream: io.StringIO) -> None:
    configure_logs(Logs(), "app-1", stream)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("broken", extra={"color_message": "\x1b[1mbroken"})
    (line,) = lines(stream)
    assert line["message"] == "broken"
    assert "ValueError: first" in line["exception"]
    assert "color_message" not in line


class FullDisk(io.StringIO):
    """Takes nothing while it is full."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


async def test_a_full_disk_fails_no_request_and_the_loss_is_told_later(
    tmp_path: Path, stream: io.StringIO
) -> None:
    disk = FullDisk()
    app = make_app(tmp_path)
    configure_logs(Logs(), "app-1", disk)
    async with client_of(app) as client:
        first = await client.post("/api/v1/generate", json={"prompt": "x"})
        disk.full = False
        second = await client.post("/api/v1/generate", json={"prompt": "y"})
    assert (first.status_code, second.status_code) == (200, 200)
    told = lines(disk)
    assert told[0]["message"] == "Log lines were lost"
    assert told[0]["lines"] >= 2
    # The audit database may be made, and told of, at any time before.
    assert "Wall-bounce analysis completed" in [line["message"] for line in told[1:]]


Log = tuple[io.StringIO, list[float]]
"""What was written, and the time."""


@pytest.fixture
def log() -> Iterator[Log]:
    stream, now = io.StringIO(), [1000.0]
    configure_logs(Logs(), "app-1", stream, lambda: now[0])
    yield stream, now
    structlog.reset_defaults()


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

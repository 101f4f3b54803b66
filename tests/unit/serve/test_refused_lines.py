"""A flood of refused requests leaves the log what it is for."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from orchestrator import client_of, make_app

from techsapo_ops.serve.line_sampler import MINUTE, OF_ALL, OF_CLIENT, OF_KIND, LineSampler
from techsapo_ops.serve.logs import configure_logs
from techsapo_ops.spec.models.data import Logs

LEFT_OUT = "Lines about refused requests were left out"


class Clock:
    """Time, and what is to be done later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, call))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due = [call for at, call in self.due if at <= self.now]
        self.due = [(at, call) for at, call in self.due if at > self.now]
        for call in due:
            call()


@pytest.fixture
def log() -> Iterator[tuple[io.StringIO, Clock]]:
    stream, clock = io.StringIO(), Clock()
    configure_logs(Logs(), "app-1", stream, LineSampler(clock, clock.later))
    yield stream, clock
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def flood(count: int, reason: str = "401", client: str = "192.0.2.{}") -> None:
    for n in range(count):
        structlog.get_logger().info("HTTP request", status=401, refused=(reason, client.format(n % 250)))


def test_one_networks_lines_are_written_up_to_a_bound_and_the_others_counted(
    log: tuple[io.StringIO, Clock],
) -> None:
    stream, clock = log
    flood(1000)
    assert len(lines(stream)) == OF_CLIENT
    clock.pass_by(MINUTE)
    *_, last = lines(stream)
    assert (last["message"], last["kind"], last["lines"]) == (LEFT_OUT, "HTTP request: 401", 1000 - OF_CLIENT)
    assert "refused" not in lines(stream)[0], "it is no field of the line"


def test_many_networks_together_are_bounded_too(log: tuple[io.StringIO, Clock]) -> None:
    stream, _ = log
    flood(250, client="198.51.{}.1")
    assert len(lines(stream)) == OF_KIND
    for reason in range(100):
        flood(100, f"reason {reason}", "198.51.{}.1")
    assert len(lines(stream)) == OF_ALL


def test_the_next_minute_begins_anew(log: tuple[io.StringIO, Clock]) -> None:
    stream, clock = log
    flood(100)
    clock.now += MINUTE  # nothing came due: the loop was busy
    flood(100)
    told = Counter(line["message"] for line in lines(stream))
    assert told == {"HTTP request": 2 * OF_CLIENT, LEFT_OUT: 1}


def test_what_is_not_about_a_refused_request_is_always_written(log: tuple[io.StringIO, Clock]) -> None:
    stream, _ = log
    flood(1000)
    for n in range(100):
        structlog.get_logger().error("Provider failed", provider=f"{n}")
    assert sum(line["message"] == "Provider failed" for line in lines(stream)) == 100


def test_a_flood_without_keys_leaves_the_lines_of_a_failed_analysis(
    tmp_path: Path, log: tuple[io.StringIO, Clock]
) -> None:
    stream, clock = log
    app = make_app(tmp_path, app={"auth": {"required": True}})

    async def main() -> None:
        async with client_of(app) as client:
            for n in range(60):
                await client.post("/api/v1/generate", json={}, headers={"X-API-Key": f"{n}"})
                await client.get(f"/.env?{n}")
            structlog.get_logger().error("Provider failed", provider="sim-a")

    asyncio.run(main())
    clock.pass_by(MINUTE)
    told = Counter(line["message"] for line in lines(stream))
    assert told["Provider failed"] == 1
    assert sum(told.values()) < 50, "of 240 lines and more"
    left_out = {line["kind"]: line["lines"] for line in lines(stream) if line["message"] == LEFT_OUT}
    assert left_out["HTTP request: 401"] == left_out["Authentication failed: malformed"] == 60 - OF_CLIENT
    assert left_out["HTTP request: 404"] == left_out["Anomalous request: sensitive_path"] == 60 - OF_CLIENT

"""Streams as a client sees them: an answer's steps and the metrics come through nginx as they are told."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_streams import events
from fronts import nginx_before
from orchestrator import QUICK, serving
from rows import each_row
from servers import Server
from websockets.sync.client import connect

pytestmark = pytest.mark.needs("nginx")

PATH = "/api/v1/metrics/stream"
CHAT = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """nginx before an app whose providers answer in a minute or so: long after the tests have given up."""
    providers = {n: {**p, "latency": "50s"} for n, p in QUICK.items()}
    directory = tmp_path_factory.mktemp("endless")
    with (
        serving(directory / "app", providers=providers) as app,
        nginx_before(directory, app.port) as edge,
    ):
        yield edge


@each_row(
    "path, body",
    [
        ("/api/v1/generate", {"prompt": "x"}),
        ("/api/v1/analyze-logs", {"error_output": "x"}),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
    ],
)
def test_an_answers_headers_and_first_step_pass_nginx_before_any_provider_answers(
    endless: Server, path: str, body: dict[str, Any]
) -> None:
    headers = {"Accept": "text/event-stream"}
    with (
        httpx.Client(trust_env=False, timeout=60) as client,
        client.stream("POST", f"{endless.url}{path}", json=body, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert "asked" in next(answer.iter_lines())


def time_of(message: str | bytes) -> float:
    """When the app looked at the metrics of a message."""
    return float(json.loads(message)["data"]["time"])


def test_both_pass_through_nginx_as_they_come(app: Server, tmp_path: Path) -> None:
    with nginx_before(tmp_path, app.port) as edge:
        with connect(f"ws://127.0.0.1:{edge.port}/ws/metrics", proxy=None) as client:
            direct, through = (events(f"{url}{PATH}", headers={}, timeout=60) for url in (app.url, edge.url))
            first = max(time_of(next(through).data), time_of(client.recv(timeout=60)))
            told = next(at for event in direct if (at := time_of(event.data)) > first)
            next(direct)  # by now the one before has been told to all
            os.kill(app.process.pid, signal.SIGSTOP)
            try:
                # Whatever holds them back until more has come does so now for ever.
                assert any(time_of(event.data) >= told for event in through)
                while time_of(client.recv(timeout=60)) < told:
                    pass
            finally:
                os.kill(app.process.pid, signal.SIGCONT)
        answer = httpx.get(
            f"{edge.url}/ping", headers={"X-Request-ID": "from-the-client.1"}, trust_env=False, timeout=60
        )
        assert answer.headers.get_list("x-request-id") == ["from-the-client.1"]

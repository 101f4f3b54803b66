"""Simulated traffic on a real instance: what it counts, and how it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from orchestrator import serving
from servers import Server, free_port, wait_for

from techsapo_ops.drills.traffic import Load, Traffic
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.secret import Secret

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


def load(server: Server, **changed: object) -> Load:
    key = (server.directory / ".techsapo/keys/app-key").read_text(encoding="ascii").strip()
    made = Load(f"http://127.0.0.1:{server.port}", Secret(key), rate=20, seconds=60, work=0.01, timeout=20)
    return replace(made, **changed)  # type: ignore[arg-type]


def test_every_request_is_accounted_for_with_its_id(server: Server) -> None:
    with Traffic(load(server)) as traffic:
        wait_for(lambda: len(traffic.outcome().finished) >= 40, what="40 of them answered")
    done = traffic.outcome()
    assert (done.unfinished, done.failed_count, done.retried, done.doubled) == (0, 0, 0, ())
    assert len(set(done.answered)) == len(done.requests) >= 40
    assert {a.instance for r in done.requests for a in r.attempts} == {"app-1"}
    assert done.longest is not None


def test_what_a_killed_instance_does_not_answer_is_told_by_reason(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Traffic(load(server)) as traffic:
        wait_for(lambda: len(traffic.outcome().answered) > 4, what="traffic")
        killed = traffic.now()
        server.process.send_signal(signal.SIGKILL)
        wait_for(lambda: traffic.outcome().failed_count > 4, what="failures")
    done = traffic.outcome()
    assert done.retried >= done.failed_count > 4
    assert "connection refused" in done.failed
    assert done.settled_after(killed) is None
    assert done.gap.seconds > 0


def test_what_can_not_work_is_said_before_it_begins(server: Server) -> None:
    with (
        pytest.raises(OpsError, match=r"can't send simulated traffic.*refused"),
        Traffic(load(server, url=f"http://127.0.0.1:{free_port()}")),
    ):
        pass
    with pytest.raises(OpsError, match="HTTP 401"), Traffic(load(server, key=Secret("another"))):
        pass

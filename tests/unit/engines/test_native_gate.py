"""Waiting for readiness, with a scripted process in place of a supervisor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.engines.native.gate import LogFrom, wait_ready
from techsapo_ops.engines.native.supervisor import Process
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.observed import State

READY = ProbeResult(True, "HTTP 200", 0.0)
REFUSED = ProbeResult(False, "connection refused", 0.0)
UNWELL = ProbeResult(False, "HTTP 503", 0.0, b'{"reason": "replaying the write-ahead log"}')


def process(state: State, pid: int | None = 7, exit_code: int | None = None) -> Process:
    return Process("app", state, False, pid, None, exit_code, "")


def wait(
    log: LogFrom | Path,
    probe: Callable[[float], ProbeResult],
    seen: Callable[[], Process | None],
    exits: int = 0,
    *,
    seconds: float,
) -> None:
    log = LogFrom(log) if isinstance(log, Path) else log
    wait_ready("app", probe=probe, process=seen, exits=lambda: exits, log=log, seconds=seconds)


def test_a_service_is_ready_when_its_probe_passes_and_its_process_stays(tmp_path: Path) -> None:
    answers = iter([REFUSED, REFUSED, READY])
    wait(tmp_path / "log", lambda _: next(answers), lambda: process(State.RUNNING), seconds=30)
    assert next(answers, None) is None


def test_an_answer_does_not_count_while_another_program_gives_it(tmp_path: Path) -> None:
    pids = iter([1, 2, 3, 4, 4, 4])
    wait(tmp_path / "log", lambda _: READY, lambda: process(State.STARTING, next(pids)), seconds=30)
    assert list(pids) == [], "two looks in a row had to find the same process"


def test_a_late_service_fails_with_the_probes_status_and_body_and_the_last_20_lines(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(f"line {n}\n" for n in range(50)))
    with pytest.raises(GateError) as caught:
        wait(log, lambda _: UNWELL, lambda: process(State.RUNNING), seconds=0.01)
    assert "app did not become ready, no answer within 0 s" in caught.value.message
    assert "HTTP 503" in caught.value.probe
    assert "replaying the write-ahead log" in caught.value.message
    assert caught.value.lines == tuple(f"line {n}" for n in range(30, 50))


def test_only_lines_of_this_start_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("of yesterday\nof today\n")
    today = LogFrom(log, len("of yesterday\n"))
    with pytest.raises(GateError) as caught:
        wait(today, lambda _: REFUSED, lambda: process(State.RUNNING), seconds=0.01)
    assert caught.value.lines == ("of today",)


@each_row("state, exits", [(State.CRASHED, 6), (State.BACKOFF, 3)])
def test_a_process_that_keeps_ending_is_not_waited_for(tmp_path: Path, state: State, exits: int) -> None:
    with pytest.raises(GateError, match=rf"the process exited with exit code 3, {exits} times"):
        wait(tmp_path / "log", lambda _: REFUSED, lambda: process(state, None, 3), exits, seconds=3600)


def test_a_process_that_ended_twice_still_gets_its_chance(tmp_path: Path) -> None:
    seen = iter([process(State.BACKOFF, None, 1), *[process(State.STARTING, 9)] * 2])
    answers = iter([REFUSED, READY])
    wait(tmp_path / "log", lambda _: next(answers), lambda: next(seen), 2, seconds=30)


def test_a_service_that_the_supervisor_does_not_know_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="the supervisor does not know this service"):
        wait(tmp_path / "log", lambda _: READY, lambda: None, seconds=3600)

"""A program that is stopped to be started again is sent TERM once its time is over; each stop has an end."""

from __future__ import annotations

import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.engines.native import daemon
from techsapo_ops.engines.native import supervisor as module
from techsapo_ops.engines.native.recorded import NativeStack
from techsapo_ops.engines.native.supervisor import NOT_RUNNING, Supervisor
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Service


class Draining(Supervisor):
    """Answers for one program as supervisor/rpcinterface.py does; it ends by TERM, or between two calls."""

    def __init__(self, *, ends_before_signal: bool = False, unending: bool = False) -> None:
        super().__init__(Path("unused.sock"))
        self.state = "RUNNING"
        self.told: list[tuple[Any, ...]] = []
        self._ends_before_signal = ends_before_signal
        self._unending = unending

    def _call(self, method: str, *arguments: Any) -> Any:
        if method == "supervisor.getProcessInfo":
            return {
                "name": "nginx", "statename": self.state, "pid": 0 if self.state == "STOPPED" else 7,
                "start": 1, "stop": 0, "spawnerr": "", "exitstatus": 0,
            }  # fmt: skip
        self.told.append((method, *arguments))
        if method == "supervisor.stopProcess":
            self.state = "STOPPING"
            return True
        assert method == "supervisor.signalProcess"
        self.state = "STOPPING" if self._unending else "STOPPED"
        if self._ends_before_signal:
            raise xmlrpc.client.Fault(NOT_RUNNING, "NOT_RUNNING: nginx")
        return True


STOP = ("supervisor.stopProcess", "nginx", False)
TERM = ("supervisor.signalProcess", "nginx", "TERM")
KILL = ("supervisor.signalProcess", "nginx", "KILL")
SERVICE = Service("scheduler", "scheduler", "127.0.0.1", 0, kind_of("scheduler").facts)


@each_row("ends_before_signal", [False, True])
def test_it_is_told_once_and_its_end_in_between_is_no_error(ends_before_signal: bool) -> None:
    supervisor = Draining(ends_before_signal=ends_before_signal)
    supervisor.stop("nginx", within=60, term_after=0)
    assert supervisor.told == [STOP, TERM]


def test_one_that_stops_already_is_sent_term_alone() -> None:
    supervisor = Draining()
    supervisor.state = "STOPPING"
    supervisor.stop("nginx", within=60, term_after=0)
    assert supervisor.told == [TERM]


def test_a_stop_sends_none_and_kills_what_is_still_there_at_its_deadline() -> None:
    supervisor = Draining()
    supervisor.stop("nginx", within=0)
    assert supervisor.told == [STOP, KILL]


def test_what_the_kernel_does_not_end_is_said_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KILL_SECONDS", 0.1)
    supervisor = Draining(unending=True)
    with pytest.raises(OpsError, match=r"the kernel does not end nginx \(pid 7\)"):
        supervisor.stop("nginx", within=0)
    assert supervisor.told == [STOP, KILL]


class Several(Supervisor):
    """A supervisord of several programs, which end `seconds` after they were told to, or when killed."""

    def __init__(self, seconds: dict[str, float]) -> None:
        super().__init__(Path("unused.sock"))
        self.seconds, self.now = seconds, 0.0
        self.told: dict[str, float] = {}
        self.killed: list[str] = []

    def _call(self, method: str, *arguments: Any) -> Any:
        match method.removeprefix("supervisor."):
            case "getAllProcessInfo":
                return [self._info(name) for name in self.seconds]
            case "getProcessInfo":
                return self._info(arguments[0])
            case "stopProcess":
                self.told.setdefault(arguments[0], self.now)
            case "signalProcess":
                self.killed.append(arguments[0])
                self.seconds[arguments[0]] = 0
            case "removeProcessGroup":
                del self.seconds[arguments[0]]
        return True

    def _info(self, name: str) -> dict[str, Any]:
        ended = name in self.told and self.now >= self.told[name] + self.seconds[name]
        stopping = "STOPPED" if ended else "STOPPING" if name in self.told else "RUNNING"
        return {
            "name": name, "statename": stopping, "pid": 0 if ended else 7,
            "start": 1, "stop": 0, "spawnerr": "", "exitstatus": 0,
        }  # fmt: skip


@each_row("needed", [0.0, 14.0, 24.0, 3600.0])
def test_down_gives_the_scheduler_the_time_that_its_runs_have_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: float
) -> None:
    """It was given 10 s: where a run took longer to end, as on a busy machine, `down` failed."""
    supervisor = Several({"scheduler": needed, "housekeeping": 9.0})

    def sleep(seconds: float) -> None:
        supervisor.now += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: supervisor.now)
    monkeypatch.setattr(daemon, "shut_down", lambda _: 0)
    stack = NativeStack(Layout(tmp_path, tmp_path / "generated"))
    stack.supervisor = supervisor
    program = kind_of("scheduler").program(topology(spec(), tmp_path), SERVICE)
    stack.state.put(Record("scheduler", "scheduler", "127.0.0.1", 0, None, (), program.stop_seconds))
    assert stack.stop() == ("scheduler",)
    assert supervisor.killed == (["scheduler"] if needed > 60 else [])
    assert supervisor.now < program.stop_seconds + 21

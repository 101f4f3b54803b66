"""A program that is stopped to be started again is sent TERM once its time is over."""

from __future__ import annotations

import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.engines.native.supervisor import NOT_RUNNING, Supervisor
from techsapo_ops.errors import OpsError


class Draining(Supervisor):
    """Answers for one program as supervisor/rpcinterface.py does; it ends by TERM, or between two calls."""

    def __init__(self, *, ends_before_signal: bool = False) -> None:
        super().__init__(Path("unused.sock"))
        self.state = "RUNNING"
        self.told: list[tuple[Any, ...]] = []
        self._ends_before_signal = ends_before_signal

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
        self.state = "STOPPED"
        if self._ends_before_signal:
            raise xmlrpc.client.Fault(NOT_RUNNING, "NOT_RUNNING: nginx")
        return True


STOP = ("supervisor.stopProcess", "nginx", False)
TERM = ("supervisor.signalProcess", "nginx", "TERM")


@pytest.mark.parametrize("ends_before_signal", [False, True])
def test_it_is_told_once_and_its_end_in_between_is_no_error(ends_before_signal: bool) -> None:
    supervisor = Draining(ends_before_signal=ends_before_signal)
    supervisor.stop("nginx", within=60, term_after=0)
    assert supervisor.told == [STOP, TERM]


def test_one_that_stops_already_is_sent_term_alone() -> None:
    supervisor = Draining()
    supervisor.state = "STOPPING"
    supervisor.stop("nginx", within=60, term_after=0)
    assert supervisor.told == [TERM]


def test_a_stop_sends_none() -> None:
    supervisor = Draining()
    with pytest.raises(OpsError, match="does not stop"):
        supervisor.stop("nginx", within=0)
    assert supervisor.told == [STOP]

"""The scheduler beside the services, which an `up` starts anew where it runs another build."""

from __future__ import annotations

import time
import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.engines.native.engine import NativeEngine
from techsapo_ops.engines.native.supervisor import BAD_NAME, Supervisor
from techsapo_ops.stack.layout import SCHEDULER
from techsapo_ops.stack.step import Action, Step

_DAY = 86_400


class ScriptedSupervisor(Supervisor):
    """Answers for one program as supervisor/rpcinterface.py does: `configured` by its file, loaded or not."""

    def __init__(self, *, configured: bool, started: int | None) -> None:
        super().__init__(Path("unused.sock"))
        self.configured = configured
        self.started = started
        self.told: list[str] = []

    def _call(self, method: str, *arguments: Any) -> Any:
        match method.removeprefix("supervisor."):
            case "getProcessInfo":
                self._require(loaded=self.started is not None)
                return {
                    "name": SCHEDULER, "statename": "RUNNING" if self.started else "STOPPED", "pid": 7,
                    "start": self.started, "stop": 0, "spawnerr": "", "exitstatus": 0,
                }  # fmt: skip
            case "reloadConfig":
                return [[[SCHEDULER] if self.configured else [], [], []]]
            case "stopProcess":
                self.started = 0
            case "removeProcessGroup":
                self.started = None
            case "addProcessGroup":
                self._require(loaded=self.configured)
                self.started = int(time.time())
            case other:
                raise AssertionError(other)
        self.told.append(method)
        return True

    @staticmethod
    def _require(*, loaded: bool) -> None:
        if not loaded:
            raise xmlrpc.client.Fault(BAD_NAME, f"BAD_NAME: {SCHEDULER}")


@pytest.mark.parametrize(
    ("configured", "age", "renewed"),
    [
        pytest.param(True, _DAY, True, id="it runs another build"),
        pytest.param(True, 0, False, id="prepare has just started it anew"),
        pytest.param(False, None, False, id="prepare has ended it, as the spec has it no more"),
    ],
)
def test_a_scheduler_that_was_behind_is_started_anew_where_that_is_still_to_be_done(
    tmp_path: Path, configured: bool, age: int | None, renewed: bool
) -> None:
    engine = NativeEngine(topology(spec(), tmp_path), SubprocessRunner(), {})
    started = int(time.time()) - age if age is not None else None
    supervisor = ScriptedSupervisor(configured=configured, started=started)
    engine.supervisor = supervisor
    Step(Action.RESTART, SCHEDULER, "does not run the installed build").perform(engine)
    done = ["supervisor.stopProcess", "supervisor.removeProcessGroup", "supervisor.addProcessGroup"]
    assert supervisor.told == (done if renewed else [])

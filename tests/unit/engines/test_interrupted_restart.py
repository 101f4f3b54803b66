"""Ctrl-C in a restart: what was stopped for it is started again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.engines.native.engine import NativeEngine
from techsapo_ops.engines.native.supervisor import Supervisor


class Told(Supervisor):
    """Keeps what it was told; Ctrl-C comes once, in `at`."""

    def __init__(self, at: str) -> None:
        super().__init__(Path("unused.sock"))
        self.at = at
        self.told: list[str] = []

    def stop(self, name: str, within: float, term_after: float | None = None) -> None:
        self._hear("stop", name)

    def start(self, name: str) -> None:
        self._hear("start", name)

    def _hear(self, what: str, name: str) -> None:
        self.told.append(f"{what} {name}")
        if what == self.at:
            self.at = ""
            raise KeyboardInterrupt


@each_row("at", ["stop", "start"])
def test_a_service_is_not_left_stopped(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = topology(spec(), tmp_path)
    engine = NativeEngine(wanted, SubprocessRunner(), {})
    told = Told(at)
    engine.supervisor = told
    record: Any = SimpleNamespace(stop_seconds=1)
    monkeypatch.setattr(NativeEngine, "_record", lambda *_: record)
    monkeypatch.setattr(NativeEngine, "_free_port", lambda *_: None)
    monkeypatch.setattr("techsapo_ops.engines.native.engine.replace", lambda found, **_: found)
    monkeypatch.setattr(engine.state, "put", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        engine._restart(wanted.services[0].name)
    name = wanted.services[0].name
    assert told.told[-2:] == [f"stop {name}", f"start {name}"]
    assert len(told.told) > 2

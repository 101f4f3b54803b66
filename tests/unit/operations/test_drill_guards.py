"""What a drill is not begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Firing, Sample
from techsapo_ops.operations.drills.guards import hindrance, reasons
from techsapo_ops.operations.recover.journal import Asked, Recovering, RecoveryJournal
from techsapo_ops.stack.maintenance import Maintenance, note
from techsapo_ops.stack.stack import Stack

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def firing(name: str, severity: str = "critical", state: str = "firing", **labels: str) -> Firing:
    return Firing({"alertname": name, "severity": severity, **labels}, {}, state, NOW)


@dataclass
class Server:
    """A Prometheus in memory: what fires, and how many of users' requests failed of how many."""

    fires: Sequence[Firing] = ()
    failed: float = 0
    asked: float = 100
    away: bool = False

    def alerts(self) -> Sequence[Firing]:
        if self.away:
            raise Unreachable("http://prometheus", "connection refused")
        return self.fires

    def query(self, expression: str) -> Sequence[Sample]:
        value = self.failed if 'status=~"5.."' in expression else self.asked
        return (Sample({}, value, 0.0),)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())


def against(stack: Stack, server: Server) -> list[str]:
    return list(reasons(stack, server))  # type: ignore[arg-type]


CHANGES: Mapping[str, tuple[dict[str, object], str]] = {
    "a critical alert": ({"fires": (firing("RedisDown"),)}, "critical alert RedisDown"),
    "users' errors": ({"failed": 6.0}, "6% of users' requests fail"),
    "no Prometheus": ({"away": True}, "connection refused"),
}


@each_row("name", CHANGES)
def test_what_prometheus_says_keeps_a_drill_from_its_begin(tmp_path: Path, name: str) -> None:
    stack = open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())
    changed, words = CHANGES[name]
    assert against(stack, Server()) == []
    (why,) = against(stack, replace(Server(), **changed))  # type: ignore[arg-type]
    assert words in why


def test_what_was_cut_short_and_maintenance_keep_a_drill_from_its_begin(stack: Stack) -> None:
    layout = stack.layout
    assert hindrance(stack) == ""
    layout.state.mkdir(parents=True, exist_ok=True)
    path = note(layout)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(Maintenance("", NOW, None, "me").to_json()))
    assert hindrance(stack).startswith("maintenance since")
    path.unlink()
    RecoveryJournal(layout.state).begin(Recovering(Asked("/away"), "1" * 64, "x"))
    (why,) = reasons(stack, None)
    assert why.startswith("this stack is being recovered")


@each_row(
    "quiet",
    [
        firing("Watchdog"),
        firing("Drill", drill="true"),
        firing("DiskFilling", severity="warning"),
        firing("AppDown", state="pending"),
    ],
)
def test_what_wakes_nobody_keeps_no_drill_from_its_begin(tmp_path: Path, quiet: Firing) -> None:
    stack = open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())
    assert against(stack, Server(fires=(quiet,))) == []

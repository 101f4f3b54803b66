"""What a drill is not begun with, and stopped at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Firing, Sample
from techsapo_ops.operations.apply.journal import Journal as ApplyJournal
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.operations.drills.guards import Guards, hindrance
from techsapo_ops.stack.maintenance import Maintenance, note
from techsapo_ops.stack.restore_journal import Interrupted, finished, journal

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


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


@dataclass
class Stand:
    """A drill's surroundings, which a test changes."""

    server: Server = field(default_factory=Server)
    here: tuple[str, ...] = ()

    def guards(self) -> Guards:
        return Guards(
            self.server,  # type: ignore[arg-type]
            lambda: self.here,
            Clock(),
        )


CHANGES: Mapping[str, tuple[dict[str, object], str]] = {
    "a critical alert": ({"fires": (firing("RedisDown"),)}, "critical alert RedisDown"),
    "users' errors": ({"failed": 6.0}, "6% of users' requests fail"),
    "no Prometheus": ({"away": True}, "connection refused"),
}


@each_row("name", CHANGES)
def test_what_prometheus_says_keeps_a_drill_from_its_begin_and_ends_it(name: str) -> None:
    changed, words = CHANGES[name]
    stand = Stand()
    for key, value in changed.items():
        setattr(stand.server, key, value)
    assert any(words in why for why in stand.guards().reasons())

    stand = Stand()
    guards = stand.guards()
    assert list(guards.reasons()) == []
    guards.struck()
    assert guards.stop() == ""
    for key, value in changed.items():
        setattr(stand.server, key, value)
    guards.stop()  # of several, a Prometheus may have gone with what was lost
    assert words in guards.stop()


def test_what_was_cut_short_and_maintenance_are_under_way(tmp_path: Path) -> None:
    stack = open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())
    layout = stack.layout
    assert hindrance(stack) == ""
    layout.state.mkdir(parents=True, exist_ok=True)
    begun, ended = Maintenance("", NOW, None, "me"), {}
    ended["maintenance since"] = note(layout)
    ended["an apply was cut short"] = ApplyJournal(Ledger(layout.state)).path
    ended["a recovery was cut short"] = layout.recovery_journal
    for words, path in ended.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(begun.to_json()))
        assert hindrance(stack).startswith(words)
        path.unlink()
    journal(layout, Interrupted("", ("redis",), ()))
    assert hindrance(stack).startswith("a restore was cut short")
    finished(layout)
    assert hindrance(stack) == ""


@each_row(
    "quiet",
    [
        firing("Watchdog"),
        firing("Drill", drill="true"),
        firing("DiskFilling", severity="warning"),
        firing("AppDown", state="pending"),
    ],
)
def test_what_wakes_nobody_stops_no_drill(quiet: Firing) -> None:
    stand = Stand(Server(fires=(quiet,)))
    assert list(stand.guards().reasons()) == []
    assert stand.guards().stop() == ""


def test_what_the_stack_itself_says_stops_it_too() -> None:
    stand = Stand()
    stand.here = ("app-2 is not ready",)
    assert list(stand.guards().reasons()) == ["app-2 is not ready"]
    assert stand.guards().stop() == "app-2 is not ready"

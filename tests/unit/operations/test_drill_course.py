"""What a drill of a restore, an alert or a recovery makes of what it finds."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.adapters.alertmanager import Sent
from techsapo_ops.backup.description import Kept
from techsapo_ops.backup.verify import PartResult, Verification
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.administration import actions, chain_of
from techsapo_ops.operations.drills import restoring
from techsapo_ops.operations.drills import written as reading
from techsapo_ops.operations.drills.alerting import Way, drill_alert
from techsapo_ops.operations.drills.recovering import refuse_outside, settings_of
from techsapo_ops.operations.drills.report import Report
from techsapo_ops.operations.drills.restoring import drill_restore
from techsapo_ops.operations.drills.run import perform
from techsapo_ops.operations.drills.written import Written, written
from techsapo_ops.operations.recover.placing import Placement, Places
from techsapo_ops.stack.stack import Stack

AT = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 29, 3, 40, tzinfo=UTC)


def begin(took: float) -> Report:
    return Report("20261127T034000Z-x", "restore", "t", "native", "0.2.0", AT, took, ())


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    spec = spec_of(
        {
            "project": "t",
            "app": {"host": "0.0.0.0", "port": 4000},
            "nginx": {"enabled": False},
            "schedule": {"by": "cron"},
        }
    )
    return replace(open_stack(topology_of(spec, tmp_path), Seen()), pause=lambda _: None)


@pytest.mark.parametrize(
    ("problems", "passed_over", "seconds"),
    [
        ((), (), 2.0),
        (("table x is missing",), (), None),
        ((), ("20261128T000000Z can't be read: torn",), 2.0),
    ],
)
def test_a_restore_that_is_no_good_took_no_time_and_a_newer_backup_that_is_none_is_told(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    problems: tuple[str, ...],
    passed_over: tuple[str, ...],
    seconds: float | None,
) -> None:
    parts = (PartResult("redis", (), 0.5), PartResult("mysql", problems, 1.5))
    found = Verification("20261127T000000Z", "deep", AT.isoformat(), parts, passed_over=passed_over)
    monkeypatch.setattr(restoring, "verify_backup", lambda *_, **__: found)
    backups = SimpleNamespace(find=lambda _: SimpleNamespace(manifest=SimpleNamespace(started=AT)))
    monkeypatch.setattr(restoring, "repository_of", lambda _: backups)
    report = drill_restore(stack, begin, now=AT)
    assert [phase.seconds for phase in report.phases] == [seconds]
    assert report.ok is not bool(problems or passed_over)
    assert report.problems == (*(f"mysql: {each}" for each in problems), *passed_over)


def test_rows_are_waited_for_and_those_that_are_there_twice_are_named(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([Counter(a=1), Counter(a=1, b=2), Counter(a=1, b=2)])
    monkeypatch.setattr(reading, "drill_rows_of", lambda *_: next(looks))
    assert written(stack, "drill-", ["a", "b"]) == Written((), ("b",))
    seconds = itertools.count(0.0, reading.WAIT)
    assert written(stack, "drill-", ["a", "c"], clock=lambda: next(seconds)) == Written(("c",), ("b",))


def test_one_is_alone_and_recorded_with_what_it_missed(stack: Stack) -> None:
    stack = replace(stack, engine=cast(Any, SimpleNamespace(name="native")))

    def work(begin: Callable[[float], Report]) -> Report:
        with pytest.raises(OpsError, match="is at work on a drill"):
            perform(stack, "alert", {}, lambda more: more(0.0), warn=print)
        return replace(begin(1.0), problems=("too late",))

    report, page = perform(stack, "restore", {"backup": "latest"}, work, warn=print, now=AT)
    assert (report.id, report.ok, page.name) == ("20261127T034000Z-restore", False, f"{report.id}.md")
    (action,) = actions(chain_of(stack.layout).read())
    assert (action.action, action.outcome) == ("drill restore", "done")
    assert {"ok": False, "missed": ["too late"], "backup": "latest"}.items() <= action.what.items()


def test_nobody_is_woken_by_a_drill(stack: Stack) -> None:
    with pytest.raises(OpsError, match="a drill wakes nobody") as refused:
        drill_alert(stack, begin, also="critical", now=SUNDAY)
    assert refused.value.exit_code == 2


@dataclass
class Servers:
    """Prometheus and Alertmanager in one: what each knows of the alert, and what receivers took."""

    prometheus: list[Any] = field(default_factory=list)
    held: list[Any] = field(default_factory=list)
    delivered: int = 0
    failed: int = 0

    def of(self, which: Callable[[], list[Any]]) -> Any:
        sent = lambda _: {"webhook": Sent(1, self.delivered, self.failed, self.failed)}  # noqa: E731 - a stand-in
        return SimpleNamespace(alerts=which, sent=sent)

    def follow(self, stack: Stack, wanted: dict[str, int]) -> tuple[list[str], dict[str, float]]:
        seconds = itertools.count(0.0)
        way = Way(
            self.of(lambda: self.prometheus), self.of(lambda: self.held), wanted,
            {"webhook": Sent(0, 0, 0, 0)},
        )  # fmt: skip
        return way.follow(30.0, lambda: float(next(seconds)), stack.pause), way.times


LABELS = {"alertname": "Drill"}
FIRES = [SimpleNamespace(labels=LABELS, state="firing")]
HELD = [SimpleNamespace(labels=LABELS, silenced=False)]


@pytest.mark.parametrize(
    ("servers", "said", "known"),
    [
        (Servers(FIRES, HELD, 1), [], {"detection", "held", "delivery"}),
        (Servers([SimpleNamespace(labels=LABELS, state="pending")]), ["did not come to Prometheus"], set()),
        (Servers(FIRES), ["did not come to Alertmanager"], {"detection"}),
        (Servers(FIRES, HELD), ["not delivered: "], {"detection", "held"}),
        (Servers(FIRES, HELD, 0, 1), ["not delivered: "], {"detection", "held"}),
        (
            Servers(FIRES, [SimpleNamespace(labels=LABELS, silenced=True)], 1),
            ["a silence matches the alert"],
            {"detection", "held"},
        ),
    ],
)
def test_an_alert_is_followed_from_one_to_the_next(
    stack: Stack, servers: Servers, said: list[str], known: set[str]
) -> None:
    told, times = servers.follow(stack, {"webhook": 1})
    assert len(told) == len(said)
    assert all(words in each for words, each in zip(said, told, strict=True))
    assert set(times) == known


def test_a_scratch_copy_tells_nobody_orders_nothing_and_is_reached_from_this_host_alone(stack: Stack) -> None:
    settings = dict(each.split("=", 1) for each in settings_of(stack, "a1"))
    found = {path: json.loads(value) for path, value in settings.items()}
    off = {
        "schedule": {"by": "none"}, "notifications": None, "certificates": None, "nginx.certificate": None,
        "backup.offsite": None, "app.tracing": None, "logs.syslog": None, "project": "drill-a1",
        "app.host": "127.0.0.1",
    }  # fmt: skip
    assert found.items() >= off.items()
    assert found["app.port"] != 4000


def test_a_scratch_copy_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    def look(target: Path, there: bool) -> Any:
        placement = Placement(cast(Kept, None), tmp_path, target, there=there)
        return SimpleNamespace(places=Places((placement,), {}))

    refuse_outside(look(tmp_path / "into/x", False), tmp_path / "into")
    refuse_outside(look(tmp_path / "etc/x", True), tmp_path / "into")
    with pytest.raises(OpsError, match="would write outside of its folder"):
        refuse_outside(look(tmp_path / "etc/x", False), tmp_path / "into")

"""What a drill found, compared with its objectives."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from rows import each_row

from techsapo_ops.operations.drills.outcome import Attempt, Outcome, Request
from techsapo_ops.operations.drills.report import Phase, Report

AT = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
GOOD = Report(
    "20261127T034000Z-failover-app", "failover-app", "shop", "native", "0.2.0", AT, 12.5,
    (Phase("detection", 0.1), Phase("failover", 0.4, 30.0), Phase("recovery", 1.5, 3600.0)),
    counts={"sent": 240.0, "lost_writes": 0.0},
)  # fmt: skip


@each_row(
    "changed, missed",
    [
        ({"phases": (Phase("failover", 30.1, 30.0),)}, ("failover",)),
        ({"phases": (Phase("failover", None, 30.0),)}, ("failover",)),
        ({"problems": ("redis differs",)}, ("redis differs",)),
        ({"phases": (Phase("detection", None),)}, ()),
    ],
)
def test_what_is_late_lost_or_stopped_is_missed(changed: dict[str, object], missed: tuple[str, ...]) -> None:
    report = replace(GOOD, **changed)  # type: ignore[arg-type]
    assert (report.missed, report.ok) == (missed, not missed)


def tried(
    began: float, ended: float, status: int = 200, instance: str = "app-2", execution: str = ""
) -> Attempt:
    return Attempt(began, ended, status, "" if status == 200 else "HTTP 502", instance, execution)


def outcome(*requests: tuple[str, list[Attempt]]) -> Outcome:
    made = [Request(name, tries[0].began, tries, done=True) for name, tries in requests]
    return Outcome(10.0, tuple(made))


def test_a_report_is_read_back_as_it_was_written() -> None:
    assert Report.from_json(json.dumps(GOOD.to_json()).encode()) == GOOD


def test_an_id_that_was_carried_out_twice_is_doubled_and_one_without_any_answer_has_failed() -> None:
    found = outcome(
        ("a", [tried(1, 2, execution="x"), tried(2, 3, execution="y")]),
        ("b", [tried(1, 2, 0), tried(2, 3, 0)]),
    )
    assert found.doubled == ("a",)
    assert dict(found.failed) == {"HTTP 502": 1}


def test_answers_are_back_for_good_after_the_last_try_that_failed() -> None:
    found = outcome(
        ("a", [tried(1, 2, 502), tried(3, 4)]),
        ("b", [tried(2, 2.5)]),
        ("c", [tried(5, 6, 502), tried(6.5, 7)]),
    )
    assert found.settled_after(1.5) == 5.5
    assert found.settled_after(1.5, until=5) == 1.0
    assert outcome(("a", [tried(1, 2)])).settled_after(3) is None

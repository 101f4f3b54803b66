"""What a drill found is kept, compared with its objectives, and told to Prometheus."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.operations.drills.kept import find, keep, reports
from techsapo_ops.operations.drills.load import Attempt, Held, Outcome, Request
from techsapo_ops.operations.drills.page import page
from techsapo_ops.operations.drills.report import Phase, Report, Seen
from techsapo_ops.stack.layout import Layout

AT = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
GOOD = Report(
    "20261127T034000Z-failover-app", "failover-app", "shop", "native", "0.2.0", AT, 12.5,
    (Phase("detection", 0.1), Phase("failover", 0.4, 30.0), Phase("recovery", 1.5, 3600.0)),
    counts={"sent": 240.0, "lost_writes": 0.0, "longest_stream_gap": None},
    zero=("lost_writes",),
    reasons={"HTTP 502": 2},
    facts={"killed": "app-1 (weight 3)"},
    alerts=(Seen("AppDown", "pending", 2.0),),
    notes=("a | b `c` <script>",),
    columns=((20, 0), (18, 2)),
    marks={"killed": 1.0},
)  # fmt: skip


def layout(tmp_path: Path) -> Layout:
    state = tmp_path / ".techsapo"
    state.mkdir(exist_ok=True)
    return Layout(state, state / "generated")


def test_a_report_is_kept_and_read_again_as_it_was(tmp_path: Path) -> None:
    where = layout(tmp_path)
    keep(where, GOOD, page(GOOD, "en"))
    assert reports(where) == (GOOD,)
    assert find(where, "latest") == find(where, "20261127") == GOOD
    assert where.drills.stat().st_mode & 0o777 == 0o700


@each_row(
    "changed, missed",
    [
        ({"phases": (Phase("failover", 30.1, 30.0),)}, ("failover",)),
        ({"phases": (Phase("failover", None, 30.0),)}, ("failover",)),
        ({"counts": {"lost_writes": 1.0}}, ("lost_writes",)),
        ({"stopped": "app-2 is not ready"}, ("stopped",)),
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
    made = [Request(name, "post", tries[0].began, tries, done=True) for name, tries in requests]
    return Outcome("r", 10.0, tuple(made), (Held([1.0, 2.0, 9.0], 1, 0, Counter()),))


def test_the_failover_ends_with_the_first_answer_after_the_last_failure() -> None:
    found = outcome(
        ("a", [tried(1, 1.5)]),
        ("b", [tried(5.1, 5.2, 502), tried(5.7, 6.0)]),
        ("c", [tried(6.1, 6.5, instance="app-1")]),
    )
    assert found.settled_after(5.0) == pytest.approx(1.0)
    assert found.settled_after(5.0, 5.15) == pytest.approx(1.0)  # none failed in it: the first that was sent
    assert found.instance_after("app-2", 1.2) == pytest.approx(4.8)  # what was sent before does not tell
    assert found.instance_after("app-1", 5.0) == pytest.approx(1.5)
    assert (found.retried, found.failed_count, found.lost) == (1, 0, 0)
    assert found.gap.seconds == pytest.approx(4.5)
    stream = found.stream_gap
    assert stream is not None
    assert (stream.seconds, stream.at) == (7.0, 2.0)


def test_an_id_that_was_carried_out_twice_is_doubled_and_one_without_any_answer_is_lost() -> None:
    found = outcome(
        ("a", [tried(1, 2, execution="x"), tried(2, 3, execution="y")]),
        ("b", [tried(1, 2, 0), tried(2, 3, 0)]),
    )
    assert found.doubled == ("a",)
    assert (found.lost, dict(found.failed)) == (1, {"HTTP 502": 1})

"""Which backups stay, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from techsapo_ops.backup.retention import Known, judge
from techsapo_ops.spec.models.data import Keep

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
KEEP = Keep(daily=2, weekly=2, monthly=1)


def known(day: float, **facts: object) -> Known:
    return Known(f"d{day}", START + timedelta(days=day), kinds=("redis", "mysql"), **facts)


def stays(backups: list[Known], binlogs: list[str] | None = ()) -> list[str]:
    return [v.id for v in judge(backups, KEEP, UTC, binlogs) if v.keep]


def test_the_last_of_each_day_and_week_stays() -> None:
    month = [known(day) for day in range(28)]
    # 2026-01-28 is a Wednesday: the newest of its week, and the Sunday before of the other.
    assert stays(month) == ["d24", "d26", "d27"]


def test_a_long_pause_removes_nothing_that_counts() -> None:
    assert stays([known(0), known(400)]) == ["d0", "d400"]


def test_the_last_good_one_and_the_last_deeply_verified_one_stay_whatever_their_age() -> None:
    backups = [known(0, deep=True), *(known(day) for day in range(10, 28)), known(28, good=False)]
    verdicts = {v.id: v for v in judge(backups, KEEP, UTC, ())}
    assert "restored on trial" in verdicts["d0"].reasons[0]
    assert "the newest good one" in verdicts["d27"].reasons
    assert verdicts["d28"].reasons == ("found damaged",)
    assert not verdicts["d28"].keep


def test_what_a_point_in_time_chain_begins_with_stays() -> None:
    backups = [known(day, logs=frozenset({f"binlog.{day:06}"})) for day in range(28)]
    assert "d5" in stays(backups, [f"binlog.{n:06}" for n in range(5, 30)])
    assert "d0" in stays(backups, None), "the server could not be asked"


def test_a_backup_of_some_sources_takes_no_other_ones_place() -> None:
    full, part = known(1), Known("only-redis", START + timedelta(days=1, hours=9), kinds=("redis",))
    keep = Keep(daily=1, weekly=0, monthly=0)
    assert [v.keep for v in judge([full, part], keep, UTC, ())] == [True, True]


def test_of_what_restores_put_aside_the_last_two_stay_and_count_for_nothing() -> None:
    backups = [known(0), *(known(0.1 * n, safety=True) for n in (1, 2, 3))]
    assert stays(backups) == ["d0", "d0.2", f"d{0.1 * 3}"]

"""What was spent is read from sums by hour, and is what the rows themselves amount to."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rows import each_row
from written import ROW

from techsapo_ops.stores.audit.costs import spent_since
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import RESTORED, AuditStore

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
KEYS = (None, "k1", "it's \\ 鍵")
SINCE = (
    BEGIN, BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=3, seconds=1), BEGIN + timedelta(minutes=59),
    BEGIN + timedelta(hours=5, microseconds=-1), BEGIN + timedelta(days=9),
)  # fmt: skip


def drawn(seed: int, count: int = 120) -> list[AuditRow]:
    """Rows around a day: some on the hour, some free of charge, some that a restore has added."""
    draw = random.Random(seed)
    return [
        replace(
            ROW,
            id=(RESTORED * (n % 9 == 0) + f"{draw.getrandbits(128):032x}")[:32],
            time=BEGIN
            + timedelta(hours=draw.randint(-2, 8), microseconds=draw.choice((0, 1, 3_599_999_999))),
            instance=draw.choice(("app-1", "app-2", "x" * 80)),
            key_id=draw.choice(KEYS),
            simulated=draw.random() < 0.3,
            cost_usd=draw.choice((0.0, 0.000000001, draw.randint(1, 10**10) / 10**9)),
        )
        for n in range(count)
    ]


def added_up(rows: list[AuditRow], since: datetime, key: str | None, *, simulated: bool) -> float:
    return sum(
        r.cost_usd for r in rows if r.time >= since and key in (None, r.key_id) and simulated >= r.simulated
    )


def insert(path: Path, *batches: list[AuditRow]) -> None:
    store = AuditStore(None, path)
    for batch in batches:
        store.insert(batch)
    store.close()


@each_row("seed", [1, 2])
def test_sums_say_what_rows_amount_to(tmp_path: Path, seed: int) -> None:
    path, rows = tmp_path / "audit.sqlite", drawn(seed)
    insert(path, rows[:50])
    insert(path, rows[50:80], rows[70:], rows[:90])  # what is there already counts once
    for since in SINCE:
        for key in KEYS:
            for simulated in (True, False):
                for elsewhere in ([], rows[::2]):
                    left = [row for row in rows if row not in elsewhere]
                    assert spent_since(
                        None, path, since, key, simulated=simulated, without=[r.id for r in elsewhere]
                    ) == pytest.approx(added_up(left, since, key, simulated=simulated), abs=1e-10)


def test_a_month_of_one_instance_and_key_is_at_most_a_sum_for_each_hour(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    rows = [replace(r, id=f"{n:032x}", instance="app-1") for n, r in enumerate(drawn(4, 400))]
    insert(path, *([row] for row in rows))
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM audit_spent WHERE key_id = 'k1'").fetchone()
    assert count <= 2 * len({f"{r.time:%Y-%m-%d %H}" for r in rows})

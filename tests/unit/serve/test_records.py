"""What became of answers: read once for all who ask, and no more of it than counts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from techsapo_ops.serve.answers import records
from techsapo_ops.serve.answers.records import FRESH, Records
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import AuditStore
from techsapo_ops.stores.labels.rows import AnsweredRequest, Label
from techsapo_ops.stores.labels.store import LabelStore
from techsapo_ops.wallbounce.verdict.record import Member, PanelRecord, dumps
from techsapo_ops.wallbounce.verdict.verdict import Outcome

NOW = datetime.now(UTC).replace(microsecond=0)
PANEL = PanelRecord(
    "basic", (Member("m", "1", "m", True),), (), 0, 1.0, 0.9, False, True, 0.8, 0.6, 0.95, Outcome.ACCEPTED
)


class Counted(LabelStore):
    """A real one that counts how often it is read, and is away as long as it is told so."""

    reads = 0
    away = False
    begun: threading.Event
    go_on: threading.Event

    def answered(self, since: datetime, most: int = 0) -> tuple[AnsweredRequest, ...]:
        self.reads += 1
        self.begun.set()
        self.go_on.wait(30)
        if self.away:
            raise Away("no route")
        return super().answered(since, most)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Counted]:
    """Five right answers, one a day."""
    file = tmp_path / "audit.sqlite"
    rows, made = AuditStore(None, file), Counted(None, file)
    made.begun, made.go_on = threading.Event(), threading.Event()
    made.go_on.set()
    rows.insert([
        AuditRow(uuid.uuid4().hex, time, "app", f"r{n}", prompt_hash=f"k{n}", panel=dumps(PANEL))
        for n, time in enumerate(NOW - timedelta(days=n) for n in range(5))
    ])  # fmt: skip
    for n in range(5):
        assert made.add(Label(f"{n:032}", f"r{n}", "aki", "right", None, NOW - timedelta(days=n), "api"))
    yield made
    rows.close()
    made.close()


def test_all_who_ask_within_a_minute_share_one_reading_also_when_the_first_goes_away(store: Counted) -> None:
    store.go_on.clear()
    now = [0.0]

    async def main() -> list[int]:
        known = Records(store, lambda: now[0])
        first = asyncio.create_task(known.of(90))
        others = [asyncio.create_task(known.of(days)) for days in (90, 2)]
        await asyncio.to_thread(store.begun.wait, 30)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        store.go_on.set()
        judged = [(await other).judged for other in others]
        now[0] = FRESH - 1
        await known.of(3)
        assert store.reads == 1
        now[0] = FRESH
        await known.of(3)
        return judged

    assert asyncio.run(main()) == [5, 2]
    assert store.reads == 2


def test_a_reading_that_failed_is_not_kept(store: Counted) -> None:
    async def main() -> int:
        known = Records(store)
        store.away = True
        with pytest.raises(Away):
            await known.of(90)
        store.away = False
        return (await known.of(90)).judged

    assert asyncio.run(main()) == 5


def test_only_the_newest_count_and_it_is_said_since_when(
    store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST", 3)

    async def main() -> list[tuple[int, str | None]]:
        known = Records(store)
        return [((body := await known.of(days)).judged, body.counted_since) for days in (90, 1)]

    since = (NOW - timedelta(days=2)).isoformat()
    assert asyncio.run(main()) == [(3, since), (1, None)]


def test_if_just_as_many_are_there_as_count_none_is_left_out(
    store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST", 5)
    body = asyncio.run(Records(store).of(90))
    assert (body.judged, body.counted_since) == (5, None)

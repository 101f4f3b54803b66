"""Rows of a cluster: when they leave the disk, and which member takes them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from pymysql.err import OperationalError
from rows import each_row
from written import rows

from techsapo_ops.adapters.address import Address
from techsapo_ops.stores.audit import spool as spools
from techsapo_ops.stores.audit import store as tables
from techsapo_ops.stores.audit import transit as replays
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.audit.spool import AuditRow, Spool
from techsapo_ops.stores.audit.store import FIRST_PROBE, REST, SETTLED, AuditStore, ClusterStore
from techsapo_ops.stores.audit.transit import AGAIN, BATCH, OVERDUE, Replay


def refused(code: int) -> Exception:
    return sa.exc.OperationalError("INSERT", None, OperationalError(code, "no"))


@dataclass
class Member:
    """A MariaDB as AuditStore shows it."""

    there: set[str] = field(default_factory=set)
    failing: list[Exception] = field(default_factory=list)
    """What it says next, in turn; the last one again and again."""
    asked: list[str] = field(default_factory=list)
    cluster: dict[str, str] = field(default_factory=dict)

    def _answer(self, what: str) -> None:
        self.asked.append(what)
        if self.failing:
            raise self.failing[0] if len(self.failing) == 1 else self.failing.pop(0)

    def insert(self, new: list[AuditRow]) -> None:
        self._answer("insert")
        self.there.update(row.id for row in new)

    def known(self, ids: Sequence[str]) -> set[str]:
        self._answer("known")
        return self.there & set(ids)

    def ping(self) -> None:
        self._answer("ping")

    def status(self) -> dict[str, str]:
        self._answer("status")
        return self.cluster

    def close(self) -> None:
        self._answer("close")


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Lab:
    """A spool, and a cluster whose members are alike; `look` is how the first one looks from afar."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 3) -> None:
        self.members = [Member() for _ in range(count)]
        self.look = Member()
        made = iter([*self.members, self.look])
        monkeypatch.setattr(tables, "AuditStore", lambda *_, **__: next(made))
        others = tuple(Address(f"mysql-{n}", 3306) for n in "bcdef"[: count - 1])
        self.time = Time()
        self.store = ClusterStore(AuditServer("mysql-a", 3306, "audit", "app", others=others), self.time)
        self.spool = Spool(folder / "spool.jsonl")
        self.dropped: list[int] = []
        self.replay = self.again()

    def again(self) -> Replay:
        return Replay(self.spool, self.insert, self._drop, self.store, self.time)

    def _drop(self, count: int, failure: Exception | None) -> None:
        assert failure is None
        self.dropped.append(count)

    def insert(self, new: list[AuditRow]) -> bool:
        try:
            self.store.insert(new)
        except sa.exc.SQLAlchemyError:
            return False
        return True

    def follow(self) -> None:
        """What one member has comes to the others."""
        everything = set[str]().union(*(each.there for each in self.members))
        for each in self.members:
            each.there |= everything

    def pass_seconds(self, seconds: float) -> None:
        self.time.now += seconds
        self.replay.run()

    def waiting(self) -> list[str]:
        return [row.id for row in self.spool.read()]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_a_row_stays_on_disk_until_another_member_shows_it(lab: Lab) -> None:
    lab.spool.append(rows(3))
    lab.replay.run()
    assert len(lab.members[0].there) == 3
    assert lab.replay.written == lab.spool.rows == 3
    lab.follow()
    lab.pass_seconds(SETTLED / 2)
    assert len(lab.waiting()) == 3, "a moment is given to what the view of the cluster may still become"
    lab.pass_seconds(SETTLED)
    assert lab.waiting() == []
    assert lab.dropped == [3]
    assert lab.members[0].asked == ["insert"], "the one that took them proves nothing"


def test_rows_that_the_others_lack_are_written_again_until_they_are_there(lab: Lab) -> None:
    lab.spool.append(rows(3))
    lab.replay.run()
    lab.members[0].there.clear()  # it was cut off, and took what the others had in place of its own
    lab.members[1].there.add(rows(1)[0].id)
    lab.pass_seconds(SETTLED)
    assert len(lab.members[0].there) == 3
    assert len(lab.waiting()) == 3
    lab.follow()
    lab.pass_seconds(AGAIN)
    assert lab.waiting() == []


def test_what_was_written_before_a_kill_9_is_written_once_more_and_read_back(lab: Lab) -> None:
    lab.spool.append(rows(3))
    lab.replay.run()
    lab.follow()
    lab.replay = lab.again()
    assert lab.replay.written == 0
    lab.replay.run()
    lab.pass_seconds(SETTLED)
    assert lab.waiting() == []
    assert len(lab.members[0].there) == 3


def test_rows_stay_while_no_other_member_can_be_asked_and_it_is_told_once(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.members[0].cluster = {"wsrep_cluster_status": "Primary", "wsrep_cluster_size": "3"}
    for each in lab.members[1:]:
        each.failing = [refused(1047)]
    lab.spool.append(rows(2))
    lab.replay.run()
    for _ in range(20):
        lab.pass_seconds(OVERDUE / 5)
    assert len(lab.waiting()) == 2
    assert lab.replay.overdue
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1
    lab.spool.append(rows(2, 2))
    lab.pass_seconds(0)
    assert len(lab.members[0].there) == 4, "they are written meanwhile"
    lab.members[2].failing = []
    lab.follow()
    lab.pass_seconds(AGAIN)
    assert lab.waiting() == []


@each_row(
    "cluster, gone",
    [
        ({"wsrep_cluster_status": "Primary", "wsrep_cluster_size": "1"}, True),
        ({"wsrep_cluster_status": "Primary", "wsrep_cluster_size": "2"}, False),
        ({"wsrep_cluster_status": "non-Primary", "wsrep_cluster_size": "1"}, False),
        ({}, False),
    ],
)
def test_a_member_is_believed_alone_where_its_cluster_says_that_it_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: dict[str, str], gone: bool
) -> None:
    lab = Lab(tmp_path, monkeypatch)
    lab.members[0].cluster = cluster
    for each in lab.members[1:]:
        each.failing = [refused(2003)]
    lab.spool.append(rows(2))
    lab.replay.run()
    lab.pass_seconds(SETTLED)
    assert (lab.waiting() == []) is gone


def test_of_five_two_others_have_to_show_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path, monkeypatch, 5)
    lab.members[0].cluster = {"wsrep_cluster_status": "Primary", "wsrep_cluster_size": "4"}
    lab.spool.append(rows(2))
    lab.replay.run()
    lab.members[1].there |= lab.members[0].there
    for each in lab.members[2:]:
        each.failing = [refused(2013)]
    lab.pass_seconds(SETTLED)
    assert len(lab.waiting()) == 2
    lab.members[3].failing = []
    lab.follow()
    lab.pass_seconds(AGAIN)
    assert lab.waiting() == []


def test_places_in_the_spool_hold_when_it_is_written_anew_under_rows_that_are_not_seen_yet(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_LONG", 1)
    lab.spool.append(rows(3))
    lab.replay.run()
    lab.follow()
    lab.time.now += SETTLED / 2
    lab.spool.append(rows(3, 3))
    lab.replay.run()
    lab.pass_seconds(SETTLED / 2)
    assert lab.waiting() == [row.id for row in rows(3, 3)]
    lab.spool.append(rows(1, 6))
    lab.replay.run()
    lab.follow()
    lab.pass_seconds(SETTLED)
    assert lab.waiting() == []
    assert lab.members[0].asked.count("insert") == 3, "each once"
    assert len(lab.members[0].there) == 7


def test_no_more_rows_are_on_their_way_than_a_budget_leaves_out_of_its_sum(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MAYBE_WRITTEN", BATCH + 10)
    lab.spool.append(rows(BATCH + 20))
    lab.replay.run()
    lab.replay.run()
    assert lab.replay.written == len(lab.members[0].there) == BATCH + 10
    lab.follow()
    lab.pass_seconds(SETTLED)
    assert len(lab.members[0].there) == BATCH + 20


def test_an_end_looks_at_once(lab: Lab) -> None:
    lab.spool.append(rows(2))
    lab.replay.run()
    lab.follow()
    lab.replay.finish()
    assert lab.waiting() == []


def test_another_member_takes_the_rows_at_once_and_the_first_one_when_it_is_back(lab: Lab) -> None:
    lab.members[0].failing = [refused(1047)]
    lab.look.failing = [refused(2003)]
    assert lab.insert(rows(1))
    assert lab.insert(rows(1, 1))
    assert lab.members[0].asked == ["insert"], "it is left alone for a while"
    assert len(lab.members[1].there) == 2
    lab.time.now += FIRST_PROBE
    assert lab.insert(rows(1, 2))
    assert lab.store.member == 1
    lab.members[0].failing, lab.look.failing = [], []
    assert lab.insert(rows(1, 3))
    assert lab.store.member == 1, "looks get rarer while it is away"
    lab.time.now += 2 * FIRST_PROBE
    assert lab.insert(rows(1, 4))
    assert lab.store.member == 0
    assert lab.members[0].there == {rows(1, 4)[0].id}


def test_a_commit_that_lost_against_another_is_tried_again_by_the_same_member(lab: Lab) -> None:
    class Busy(Member):
        def insert(self, new: list[AuditRow]) -> None:
            if self.asked.count("insert") == 0:
                self.asked.append("insert")
                raise refused(1213)
            super().insert(new)

    busy = Busy()
    lab.store._members[0] = busy
    assert lab.insert(rows(1))
    assert lab.store.member == 0
    assert busy.asked == ["insert", "insert"]


def test_where_no_member_takes_them_the_rows_wait(lab: Lab) -> None:
    for each in lab.members:
        each.failing = [refused(1047)]
    lab.spool.append(rows(2))
    lab.replay.run()
    assert lab.replay.written == 0
    assert [each.asked for each in lab.members] == [["insert"]] * 3


def test_a_member_that_hung_is_asked_after_the_others_for_a_while(lab: Lab) -> None:
    lab.members[1].failing = [refused(2013)]
    ids = [row.id for row in rows(1)]
    lab.members[2].there = set(ids)
    for _ in range(3):
        assert lab.store.lacking(ids, 0) == set()
    assert lab.members[1].asked == ["known"]
    lab.time.now += REST
    lab.store.lacking(ids, 0)
    assert lab.members[1].asked == ["known"] * 2


def test_rows_that_wait_nowhere_else_are_taken_when_others_show_them(lab: Lab) -> None:
    with pytest.raises(sa.exc.SQLAlchemyError, match="not in the cluster yet"):
        lab.store.insert_for_good(rows(1))
    lab.follow()
    lab.store.insert_for_good(rows(1))


def test_what_one_database_took_leaves_the_disk_at_once_and_what_it_refused_stays(tmp_path: Path) -> None:
    store, spool = AuditStore(None, tmp_path / "audit.sqlite"), Spool(tmp_path / "spool.jsonl")
    dropped, taken = list[int](), list[int]()

    def insert(new: list[AuditRow]) -> bool:
        if len(taken) == 2:
            return False
        store.insert(new)
        taken.append(len(new))
        return True

    replay = Replay(spool, insert, lambda count, _: dropped.append(count), store)
    spool.append(rows(2 * BATCH + 3))
    replay.run()
    assert (taken, dropped, replay.written) == ([BATCH, BATCH], [2 * BATCH], 0)
    assert [row.id for row in spool.read()] == [row.id for row in rows(3, 2 * BATCH)]
    taken.clear()
    replay.run()
    assert (spool.rows, spool.path.stat().st_size) == (0, 0)
    store.close()

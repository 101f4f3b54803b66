"""Parts of `techsapo status`: backups and their proofs, what was spent, and who reads the audit log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_engine import MemoryEngine, World
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row
from stacks import host, spec, topology
from typing_extensions import override

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.apply.data import note_gap
from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.backup.repository.records import note_offsite
from techsapo_ops.services.lost_data import LostData
from techsapo_ops.stack.data_notes import Gap, KnownData
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.audit.rows import Call, Requests, Rows
from techsapo_ops.watch import backups
from techsapo_ops.watch import costs as spending
from techsapo_ops.watch.backups import backups_of
from techsapo_ops.watch.costs import AUDIT, Spent, costs, spent_of

NOW = datetime(2026, 11, 27, 7, 30, tzinfo=UTC)


class Kept:
    """A repository with a backup a day, the last of today; `checks` by day."""

    def __init__(self, tags: tuple[str, ...], checks: dict[int, dict[str, Any]]) -> None:
        begun = [NOW - timedelta(days=len(tags) - 1 - number) for number in range(len(tags))]
        self.backups = tuple(
            Backup(
                f"b{number}",
                Path(),
                replace(Manifest.draft("t", "native", tag), id=f"b{number}", started=began),
            )
            for number, (tag, began) in enumerate(zip(tags, begun, strict=True))
        )
        self.known = checks

    def ours(self) -> tuple[Backup, ...]:
        return self.backups

    def compared(self) -> tuple[tuple[Manifest, ...], frozenset[str]]:
        return tuple(backup.read() for backup in self.backups), frozenset()

    def checks(self, backup: Backup) -> dict[str, Any]:
        return self.known.get(int(backup.id[1:]), {})


def look(ok: bool, ago: int) -> dict[str, Any]:
    return {"ok": ok, "at": (NOW - timedelta(hours=ago)).isoformat()}


def test_the_newest_backup_is_the_last_that_no_restore_put_aside_and_the_newest_proof_counts(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Kept(
        ("", "", "", SAFETY_TAG),
        {
            0: {"deep": look(True, 30), "quick": look(True, 1)},
            1: {"deep": look(True, 5), "quick": look(False, 1)},
            2: {"deep": look(False, 2)},
            3: {"deep": look(True, 1)},
        },
    )
    monkeypatch.setattr(backups, "repository_of", lambda _: repository)
    found = backups_of(stack)
    assert (found.count, found.newest, found.newest_begun) == (3, "b2", NOW - timedelta(days=1))
    assert found.proved == backups.Proved("b1", NOW - timedelta(days=2), NOW - timedelta(hours=5), "here")
    assert found.failed == ("b1", "b2")


def test_a_copy_that_came_back_from_off_site_is_a_proof_also_of_a_backup_that_is_gone_here(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "repository_of", lambda _: Kept(("",), {0: {"deep": look(True, 30)}}))
    note_offsite(stack.layout, good={"id": "long-ago", **look(True, 3), "parts": []})
    assert backups_of(stack).proved == backups.Proved("long-ago", None, NOW - timedelta(hours=3), "off-site")


@each_row("simulated_too, day, month", [(False, 1.0, 3.0), (True, 9.0, 11.0)])
def test_what_was_spent_is_of_this_utc_day_and_month_and_simulated_money_counts_where_the_spec_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated_too: bool, day: float, month: float
) -> None:
    asked: list[int] = []

    def rows(_: Stack, days: int) -> Rows:
        asked.append(days)
        requests = [
            ("2026-10-31", 100.0, False), ("2026-11-01", 2.0, False), ("2026-11-27", 1.0, False),
            ("2026-11-27", 8.0, True),
        ]  # fmt: skip
        return Rows(tuple(Requests(d, usd, "", sim) for d, usd, sim in requests))

    monkeypatch.setattr(spending, "rows_of", rows)
    budget = {"monthly_usd": 100, "daily_usd": 4, "count_simulated": simulated_too}
    stack = open_stack(topology_of(spec_of({"project": "t", "budget": budget}), tmp_path), Seen())
    found = spent_of(stack, NOW)
    assert asked == [27], "back to the first of the month"
    assert (found.day_usd, found.month_usd) == (day, month)
    assert (found.day_percent, found.month_percent) == (day / 4 * 100, month)
    assert (Spent(1, 1, 0, 0).day_percent, Spent(1, 1, 0, 0).month_percent) == (0, 0)


ROWS = Rows(
    (Requests("2026-01-31", 0.5, "miss", False),),
    (Call("a", "m", "2026-01-31", 2, 1, 10, 20, 0.5),),
)


def test_where_audit_rows_of_this_month_or_all_of_them_are_lost_what_was_spent_is_not_all(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "rows_of", lambda *_: Rows(()))
    gone: list[LostData] = []
    monkeypatch.setattr(spending, "lost_data", lambda *_: gone)
    for kind, lost in (("prometheus", False), ("app", True)):
        gone[:] = [LostData(kind, kind, KnownData(kind, NOW, NOW))]
        assert spent_of(stack, NOW).rows_lost == lost
    gone.clear()
    for until, lost in ((NOW - timedelta(days=40), False), (NOW - timedelta(hours=1), True)):
        note_gap(stack.layout, Gap(until - timedelta(days=1), until - timedelta(hours=1), until), ["app"])
        assert spent_of(stack, NOW).rows_lost == lost


class Apps(MemoryEngine):
    """The instances of an app; it notes beside which of them a command runs."""

    def __init__(self, where: Topology) -> None:
        super().__init__(where, World(running=True))
        self.asked: list[tuple[str, str]] = []

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        self.asked.append((image_of, service))
        return super().beside(service, command, image_of=image_of)


class Answer:
    """A runner that gives the same rows each time."""

    def run(self, command: Command, *, timeout: float) -> Completed:
        assert " -m techsapo_ops answers costs --rows " in " ".join(command.argv)
        return Completed(command, 0, json.dumps(ROWS.to_json()).encode(), b"")


def test_natively_root_reads_no_sqlite_file_that_the_apps_user_may_have_made_a_link(tmp_path: Path) -> None:
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]})
    where = topology(wanted, tmp_path, facts=host(root=True, users=frozenset({"techsapo"})))
    victim = tmp_path / "empty"
    victim.touch()
    for name in ("app-1", "app-old"):
        (where.layout.data / name).mkdir(parents=True)
        (where.layout.data / name / AUDIT).symlink_to(victim)
    engine = Apps(where)
    report = costs(open_stack(where, engine, Answer()), 30, "day")
    assert engine.asked == [("app-1", "app-1"), ("app-1", "app-old")]
    assert (report.requests, victim.read_bytes()) == (2, b"")

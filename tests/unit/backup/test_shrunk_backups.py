"""A backup with less than half of what the one before had: marked, told of, no reason to prune that one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.open_stacks import stack_in
from typer.testing import CliRunner

from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.backup.prune import prune_backups
from techsapo_ops.backup.repository import manifest as manifests
from techsapo_ops.backup.repository.create import create
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.backup.telling import samples, write_metrics
from techsapo_ops.cli.main import app
from techsapo_ops.stack.backup import Part, Progress, Shrink, Source
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.backups import backups_of
from techsapo_ops.watch.health.check import check

BEGAN = datetime(2026, 1, 1, 2, tzinfo=UTC)
MYSQL = {
    "database": "audit", "exact": True, "binlog": {}, "views": 0, "triggers": 0, "routines": 0, "events": 0,
    "objects": {},
}  # fmt: skip


class Taken:
    """A source that has `facts` to tell, and a file."""

    def __init__(self, kind: str, facts: Mapping[str, Any], raw: int = 1000) -> None:
        self.kind, self._facts, self._raw = kind, facts, raw

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        (folder / f"{self.kind}.zst").write_bytes(b"x")
        return Part(self.kind, f"{self.kind}.zst", 1, self._raw, "0" * 64, 0.1, "a server 1", self._facts)


def rows(count: int) -> Taken:
    table = {"rows": count, "engine": "InnoDB", "checksum": "1"}
    return Taken("mysql", {**MYSQL, "tables": {"audit_requests": table}})


def keys(count: int, expires: int = 0) -> Taken:
    return Taken(
        "redis", {"databases": {"0": {"keys": count, "expires": expires}}, "changes": 0, "sample": []}
    )


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return stack_in(tmp_path, backup={"keep": {"daily": 2, "weekly": 0, "monthly": 0}})


def make(stack: Stack, day: int, *sources: Source, tag: str = "") -> Backup:
    repository = repository_of(stack)
    with repository.lock():
        repository.make_key()
        draft = Manifest.draft(stack.spec.project, "native", tag)
        return create(repository, draft, sources, lambda: BEGAN + timedelta(days=day))


def shrunk(backup: Backup) -> tuple[Shrink, ...]:
    return backup.read().shrunk


def test_less_than_half_of_the_rows_keys_or_bytes_of_the_backup_before_is_marked(stack: Stack) -> None:
    big = Taken("ledger", {}, 1_000_000)
    first = make(stack, 0, rows(1204), keys(400), big)
    assert not shrunk(first)
    second = make(stack, 1, rows(601), keys(199), Taken("ledger", {}, 499_999))
    assert [(s.source, s.unit, s.before, s.now, s.than) for s in shrunk(second)] == [
        ("mysql", "rows", 1204, 601, first.id),
        ("redis", "keys", 400, 199, first.id),
        ("ledger", "bytes", 1_000_000, 499_999, first.id),
    ]
    again = manifests.read(second.read().text().encode(), "manifest")
    assert again == second.read(), "it is in the manifest"


def test_half_is_not_less_than_half_and_growing_is_none(stack: Stack) -> None:
    make(stack, 0, rows(1204))
    assert not shrunk(make(stack, 1, rows(602)))
    assert not shrunk(make(stack, 2, rows(2000)))


def test_what_expires_and_what_is_small_is_not_compared(stack: Stack) -> None:
    make(stack, 0, keys(5000, expires=4995), rows(9))
    assert not shrunk(make(stack, 1, keys(10, expires=8), rows(0)))


def test_a_source_that_stays_small_stays_marked_until_it_has_its_data_again(stack: Stack) -> None:
    first = make(stack, 0, rows(1204))
    make(stack, 1, rows(3))
    third = make(stack, 2, rows(5))
    assert [(s.than, s.before) for s in shrunk(third)] == [(first.id, 1204)]
    assert not shrunk(make(stack, 3, rows(1204)))


def test_what_a_restore_puts_aside_is_neither_marked_nor_compared_with(stack: Stack) -> None:
    make(stack, 0, rows(1204))
    assert not shrunk(make(stack, 1, rows(3), tag=SAFETY_TAG))
    assert not shrunk(make(stack, 2, rows(1204)))


def test_prune_keeps_the_last_backup_before_it_shrank_until_it_is_accepted(stack: Stack) -> None:
    ids = [make(stack, day, rows(1204)).id for day in range(4)]
    small = [make(stack, day, rows(3)).id for day in range(4, 9)]
    done = prune_backups(stack)
    stays = {v.id: v.reasons for v in done.verdicts if v.keep}
    assert list(stays) == [ids[3], *small[-2:]]
    assert small[-1] in stays[ids[3]][0]
    assert "shrank" in stays[ids[3]][0]

    accepted = CliRunner().invoke(app, ["backup", "accept", small[-1], "--file", str(stack.layout.spec_file)])
    assert accepted.exit_code == 0, accepted.output
    assert "1,204 rows" in accepted.output
    prune_backups(stack)
    assert [b.id for b in repository_of(stack).backups()] == small[-2:]
    assert sorted(p.name for p in repository_of(stack).path.iterdir() if p.is_dir()) == small[-2:]
    assert not shrunk(make(stack, 9, rows(3))), "that is the reference from now on"
    last = [a for a in actions(chain_of(stack.layout).read()) if a.action == "backup accept"][-1]
    assert (last.outcome, last.what["backup"], last.what["shrunk"]) == ("done", small[-1], ["mysql"])


def test_where_the_last_one_before_is_damaged_the_good_one_before_that_stays(stack: Stack) -> None:
    ids = [make(stack, day, rows(1204)).id for day in range(3)]
    repository = repository_of(stack)
    looked = {"ok": False, "at": "2026-01-04T04:00:00+00:00", "parts": []}
    repository.note(repository.find(ids[2]), "quick", looked)
    for day in range(4, 9):
        make(stack, day, rows(3))
    assert ids[1] in [v.id for v in prune_backups(stack, dry_run=True).verdicts if v.keep]


def test_the_metric_status_health_and_list_say_it_until_it_is_accepted(stack: Stack) -> None:
    def metric() -> dict[str, float]:
        found = samples(repository_of(stack))
        return {s.labels["source"]: s.value for s in found if s.metric == "techsapo_backup_shrunk"}

    def health() -> list[str]:
        write_metrics(stack, repository_of(stack))
        report = check(stack, timeout=5, now=datetime.now(UTC))
        return [p.detail for p in report.failing if p.kind == "backups"]

    def listed() -> str:
        return CliRunner().invoke(app, ["backup", "list", "--file", str(stack.layout.spec_file)]).output

    make(stack, 0, rows(1204), keys(400))
    assert metric() == {"mysql": 0, "redis": 0}
    assert not health()
    assert "shrunk" not in listed()
    newest = make(stack, 1, rows(3), keys(400))
    assert metric() == {"mysql": 1, "redis": 0}
    assert [(name, s.source) for name, s in backups_of(stack).shrunk] == [(newest.id, "mysql")]
    assert "mysql" in health()[0]
    assert "shrunk" in listed()
    make(stack, 2, keys(400))
    assert metric()["mysql"] == 1, "its newest backup is still the small one"
    CliRunner().invoke(app, ["backup", "accept", newest.id, "--file", str(stack.layout.spec_file)])
    assert metric() == {"mysql": 0, "redis": 0}
    assert not health()

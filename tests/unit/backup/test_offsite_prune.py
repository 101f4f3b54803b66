"""Nothing removes off-site copies unless the spec says so; a person tries the password that opens them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.open_stacks import stack_in
from typer.testing import CliRunner

from techsapo_ops.backup.checks import note_offsite, of_offsite
from techsapo_ops.backup.offsite import PART_TAG, AwaySnapshot, project_tag
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.administration import actions, chain_of
from techsapo_ops.operations.backup import prune, unlock_test
from techsapo_ops.operations.backup.prune import prune_backups
from techsapo_ops.operations.backup.unlock_test import try_password
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def copy(day: int, *tags: str, project: str = "lab") -> AwaySnapshot:
    at = NOON + timedelta(days=day)
    return AwaySnapshot(f"{day:x}" * 64, at, "h", (), (f"{at:%Y%m%dT%H%M%SZ}", project_tag(project), *tags))


@dataclass
class Away:
    """A repository of copies, which opens with one password."""

    copies: list[AwaySnapshot] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    repository: str = "s3:away"
    password: Secret = field(default_factory=lambda: Secret("of the spec"))
    given: str = ""

    def reach(self) -> None:
        if self.password.reveal() not in {"of the spec", "of the card"}:
            raise OpsError("wrong password")

    def snapshots(self, damaged: object) -> list[AwaySnapshot]:
        assert callable(damaged)
        return self.copies

    def forget(self, ids: list[str]) -> None:
        self.gone += ids


def away_from(folder: Path, **offsite: object) -> Stack:
    keep = {"daily": 2, "weekly": 0, "monthly": 0}
    offsite = {"restic": str(folder / "away"), "password": "p", **offsite}
    return stack_in(folder, backup={"keep": keep, "offsite": offsite})


def test_nothing_is_asked_or_removed_off_site_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "restic_of", lambda _: pytest.fail("it was asked"))
    assert prune_backups(away_from(tmp_path)).offsite == ()


def test_where_the_spec_says_so_copies_go_by_keep_and_parts_take_no_place_of_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [copy(day) for day in range(5)]
    parts = [copy(day, PART_TAG) for day in range(5, 9)]
    others = [copy(day, project="shop") for day in range(9, 12)]
    away = Away([*whole, *parts, *others])
    monkeypatch.setattr(prune, "restic_of", lambda _: away)
    stack = away_from(tmp_path, prune=True)
    looked = prune_backups(stack, dry_run=True)
    assert [v.id for v in looked.offsite if v.keep] == [c.backup for c in (*whole[-2:], *parts[-2:])]
    assert away.gone == []
    prune_backups(stack)
    assert away.gone == [c.id for c in (*whole[:3], *parts[:2])]
    (done,) = [a for a in actions(chain_of(stack.layout).read()) if "copies" in a.what]
    assert done.what["copies"] == [c.backup for c in (*whole[:3], *parts[:2])]


def test_a_password_that_opens_it_is_noted_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlock_test, "restic_of", lambda _: Away())
    stack = away_from(tmp_path)
    note_offsite(stack.layout, typed={"ok": False, "at": NOON.isoformat()})
    with pytest.raises(OpsError, match="wrong password"):
        try_password(stack, Secret("mistyped"), warn=pytest.fail)
    assert of_offsite(stack.layout)["typed"] == {"ok": False, "at": NOON.isoformat()}
    try_password(stack, Secret("of the card"), warn=pytest.fail)
    typed = of_offsite(stack.layout)["typed"]
    assert typed["ok"]
    at = datetime.fromisoformat(typed["at"]).timestamp()
    text = (stack.layout.textfiles / "backups.prom").read_text()
    (told,) = re.findall(
        r'^techsapo_backup_offsite_password_tried_\S+\{name="backups"\} (\S+)', text, re.MULTILINE
    )
    assert float(told) == at


def test_a_person_has_to_type_it(tmp_path: Path) -> None:
    stack = away_from(tmp_path)
    words = ["backup", "unlock-test", "--file", str(stack.layout.spec_file)]
    done = CliRunner().invoke(app, words, input="of the card\n")
    assert isinstance(done.exception, OpsError)
    assert done.exception.exit_code == 2
    assert "a person has to type the password" in done.exception.message

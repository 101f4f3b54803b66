"""Which backups stay, and why; off-site copies stay unless the spec says so, and who opens them is tried."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.open_stacks import stack_in
from typer.testing import CliRunner

from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.backup import prune, verify
from techsapo_ops.backup.prune import Known, judge, prune_backups
from techsapo_ops.backup.repository.records import note_offsite, of_offsite
from techsapo_ops.backup.repository.restic import PART_TAG, AwaySnapshot, project_tag
from techsapo_ops.backup.verify import try_password
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.upkeep import Keep
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
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
    assert "restored as a test" in verdicts["d0"].reasons[0]
    assert "the newest good backup" in verdicts["d27"].reasons
    assert verdicts["d28"].reasons == ("damaged",)
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


def copy(day: int, *tags: str, project: str = "lab") -> AwaySnapshot:
    at = AT + timedelta(days=day)
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
    monkeypatch.setattr(verify, "restic_of", lambda _: Away())
    stack = away_from(tmp_path)
    note_offsite(stack.layout, typed={"ok": False, "at": AT.isoformat()})
    with pytest.raises(OpsError, match="wrong password"):
        try_password(stack, Secret("mistyped"), warn=pytest.fail)
    assert of_offsite(stack.layout)["typed"] == {"ok": False, "at": AT.isoformat()}
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

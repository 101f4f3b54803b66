"""What restic says, of Debian 12 (0.14) and of Debian 13 (0.18): both say it in the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.backup.repository import restic as offsite
from techsapo_ops.backup.repository.restic import Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.secret import Secret

ID = "20260131T020000Z"
MISSING = """Fatal: unable to open config file: <config/> does not exist
Is there a repository at the following location?
rest:http://me:***@127.0.0.1:8000/me/"""
UNAUTHORIZED = """Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized
Is there a repository at the following location?"""
WRONG = "Fatal: wrong password or no key found"
LOCKED = "unable to create lock in backend: repository is already locked by PID 7 on vm by root"
SUMMARY = json.dumps({"message_type": "summary", "snapshot_id": "b5ce3ffe46ac8a52"})
Said = tuple[int, str]


class Scripted:
    """A restic that ends as it is told by the first word of its command, the last time for good."""

    def __init__(self, said: Mapping[str, Sequence[Said]]) -> None:
        self._said = {word: list(each) for word, each in said.items()}
        self.commands: list[Command] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        assert timeout > 0
        self.commands.append(command)
        words = [each for each in command.argv[3:] if not each.startswith("-")]
        left = self._said.get(words[0], [(0, "")])
        code, text = left.pop(0) if len(left) > 1 else left[0]
        out, err = (text, "") if code == 0 else ("", text)
        return Completed(command, code, out.encode(), err.encode())

    @property
    def words(self) -> list[str]:
        return [next(w for w in each.argv[3:] if not w.startswith("-")) for each in self.commands]


def restic(said: Mapping[str, Sequence[Said]], repository: str = "s", **more: str) -> tuple[Restic, Scripted]:
    runner = Scripted(said)
    return Restic(runner, "restic", repository, Secret("pw"), Path("/cache"), {}, more), runner


@each_row("code", [1, 10])
def test_a_repository_that_is_not_there_is_made(code: int) -> None:
    away, runner = restic({"cat": [(code, MISSING)], "backup": [(0, SUMMARY)]})
    assert away.keep(ID, [Path("/x")]) == "b5ce3ffe46ac"
    assert runner.words == ["cat", "init", "backup", "check"]


def test_one_that_does_not_let_us_in_is_not_made() -> None:
    away, runner = restic({"cat": [(1, UNAUTHORIZED)]})
    with pytest.raises(OpsError, match="401 Unauthorized"):
        away.keep(ID, [Path("/x")])
    assert runner.words == ["cat"]


@each_row(
    "code, said, hint",
    [
        (1, WRONG, "is wrong for this repository"), (12, "{}", "is wrong for this repository"),
        (1, MISSING, "there is no repository"), (10, "{}", "there is no repository"),
        (1, UNAUTHORIZED, "can be reached"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told_from_the_words_where_no_exit_code_tells_it(
    code: int, said: str, hint: str
) -> None:
    away, _ = restic({"cat": [(code, said)]})
    with pytest.raises(OpsError) as caught:
        away.reach()
    assert hint in caught.value.hint


@each_row("code", [1, 11])
def test_a_lock_that_a_killed_one_left_goes_and_a_restore_waits_for_one_at_work(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(offsite.time, "sleep", waits.append)
    away, runner = restic({"forget": [(code, LOCKED), (0, "")]})
    away.forget(["1" * 64])
    assert (runner.words, waits) == (["forget", "unlock", "forget"], [])
    away, runner = restic({"restore": [(code, LOCKED)] * 3 + [(0, "")]})
    away.restore("1" * 64, Path("/target"))
    assert (runner.words, len(waits)) == (["restore", "unlock", *["restore"] * 3], 2)


@each_row("told", ['Ignoring "82adb614535c": failed to load', "could not load snapshot 82adb614: load <snap"])
def test_a_copy_that_can_not_be_read_is_told_of(told: str) -> None:
    class Half(Scripted):
        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            return Completed(command, 0, b"[]", told.encode())

    lost: list[str] = []
    away = Restic(Half({}), "restic", "s", Secret("pw"), Path("/cache"))
    assert away.snapshots(damaged=lost.extend) == ()
    assert lost == ["82adb614"]


@each_row(
    "place, login, wanted",
    [
        ("rest:https://b.example/x", ("me", "a/b@c"), "rest:https://me:a%2Fb%40c@b.example/x"),
        ("rest:https://me:own@b.example/x", ("you", "pw"), "rest:https://me:own@b.example/x"),
        ("rest:https://b.example/x", ("me", ""), "rest:https://b.example/x"),
        ("s3:https://b.example/x", ("me", "pw"), "s3:https://b.example/x"),
    ],
)
def test_the_login_of_a_rest_server_is_in_the_address_which_goes_by_the_environment(
    place: str, login: tuple[str, str], wanted: str
) -> None:
    away, runner = restic({}, place, RESTIC_REST_USERNAME=login[0], RESTIC_REST_PASSWORD=login[1])
    away.reach()
    (command,) = runner.commands
    assert command.env["RESTIC_REPOSITORY"] == wanted
    assert not any(login[1] in word for word in command.argv if login[1])


def test_a_name_with_signs_of_a_pattern_is_that_name(tmp_path: Path) -> None:
    found = {"id": "1" * 64, "time": "2026-01-31T02:00:00Z", "paths": ["/odd[1]*dir/offsite"], "tags": [ID]}
    away, runner = restic({"snapshots": [(0, json.dumps([found]))]})
    assert away.fetch(ID, "offsite", tmp_path) == tmp_path / "odd[1]*dir/offsite"
    argv = runner.commands[-1].argv
    assert argv[argv.index("--include") + 1] == "/odd\\[1]\\*dir/offsite"
    assert away.fetch(ID, "another", tmp_path) is None


def test_restic_is_started_by_work_on_copies_alone_and_never_to_tell_how_things_are() -> None:
    """A repository far away answers late or not at all: `status`, `health`, `plan` and metrics ask none."""
    package = Path(offsite.__file__).parents[2]
    asking = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\b(Restic|restic_of)\b", path.read_text(encoding="utf-8"))
    }
    assert asking == {
        "backup/repository/restic.py", "cli/backup/recover_doors.py", "drills/trials.py",
        "backup/restore/copied.py",
        *(f"backup/{name}.py" for name in ("create", "offsite", "prune", "verify", "verify_offsite")),
        *(f"backup/recover/{name}.py" for name in ("draft", "keys", "run")),
    }  # fmt: skip

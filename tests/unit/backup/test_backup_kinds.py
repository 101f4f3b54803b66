"""A new kind of data is one class: every command that works on backups takes it up by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import hostile
import pytest
from fakes.letters import Letters
from fakes.open_stacks import stack_in
from rows import each_row

from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import MANIFEST, repository_of
from techsapo_ops.backup.repository.origin import MAC, State
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.going_back import go_back_if_interrupted
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.errors import OpsError
from techsapo_ops.services import registry as services
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.backup import BackupKind, Part
from techsapo_ops.stack.journal import REPLACE, Replaced, interrupted, restore_journal
from techsapo_ops.stack.kind import Kind, Wanted
from techsapo_ops.stack.places import Places
from techsapo_ops.stack.service import Probe, ServiceFacts
from techsapo_ops.stack.stack import Stack


class Notes(Letters):
    """Letters that nobody has to stop for."""

    stops = ()

    def warnings(self, part: Part) -> Sequence[str]:
        return ["hardly anything was written"] if len(part.facts["text"]) < 9 else []


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack with letters, and a techsapo that knows of them."""
    (tmp_path / "letters.txt").write_text("one two three")
    with registry.including(Notes()):
        yield stack_in(tmp_path)


class Diary(Kind):
    """A service that is in no stack here; its data is the letters."""

    facts = ServiceFacts("diary", "Diary", "diary:1", 80, "diary", 1000, Probe("tcp"))

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        return ()

    def backup(self) -> BackupKind:
        return Notes()


def test_a_kind_of_service_brings_its_kind_of_backup(stack: Stack) -> None:
    assert registry.names()[-1] == "letters"
    with services.including(Diary()):
        assert registry.names().index("letters") == len(registry.names()) - 3
    assert [kind.name for kind in services.kinds() if kind.backup() is not None] == [
        "redis", "mysql", "app", "prometheus", "grafana",
    ]  # fmt: skip


def test_it_is_taken_checked_tried_shown_and_brought_back(stack: Stack) -> None:
    made = create_backup(stack, only=("letters",))
    manifest = made.backup.read()
    assert manifest.kinds == ("letters",)
    assert manifest.left_out["config"] == "not asked for"
    assert made.warnings == ()
    assert verify_backup(stack).ok
    (deep,) = verify_backup(stack, deep=True).parts
    assert (deep.kind, deep.problems, deep.seconds, deep.note) == ("letters", (), 0.5, "read aloud")
    letters = stack.directory / "letters.txt"
    letters.write_text("lost")
    intent = intend(stack)
    assert (intent.now, intent.then, intent.stopped) == (
        {"letters": "lost"},
        {"letters": "one two three"},
        (),
    )
    done = restore.perform(stack, intent)
    assert letters.read_text() == "one two three"
    safety = repository_of(stack).find(done.safety)
    assert (safety.read().kinds, safety.read().tag) == (("letters",), "before-restore")
    letters.unlink()
    with pytest.raises(OpsError, match="letters can't be backed up: there are no letters"):
        create_backup(stack, only=("letters",))


def test_what_it_warns_of_is_told_and_a_restore_that_goes_wrong_is_taken_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = stack.directory / "letters.txt"
    letters.write_text("alone")
    assert create_backup(stack, only=("letters",)).warnings == ("letters: hardly anything was written",)
    letters.write_text("mine stays")
    intent = intend(stack, only=("letters",))
    differences = Notes.differences
    wrong = iter([["a letter is upside down"]])
    monkeypatch.setattr(Notes, "differences", lambda *those: next(wrong, None) or differences(*those))
    with pytest.raises(
        OpsError, match=r"was not restored correctly: a letter is upside down\nthe restore was undone"
    ):
        restore.perform(stack, intent)
    assert letters.read_text() == "mine stays"


@each_row("deep", [False, True])
def test_nothing_of_a_backup_that_was_tampered_with_is_looked_into(
    stack: Stack, deep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though every digest fits: whoever changed it may have made a part that harms what opens it."""
    folder = create_backup(stack, only=("letters",)).backup.folder
    mac = (folder / MAC).read_bytes()
    text = (folder / MANIFEST).read_bytes().replace(b'"tag": ""', b'"tag": "x"')
    hostile.described(folder, text)
    (folder / MAC).write_bytes(mac)
    hostile.fitting(folder)
    looked: list[str] = []
    monkeypatch.setattr(Notes, "check", lambda *_: looked.append("check") or [])
    monkeypatch.setattr(Notes, "trial", lambda *_: looked.append("trial"))
    found = verify_backup(stack, deep=deep)
    assert (found.authentication, found.ok, found.parts, looked) == (State.TAMPERED, False, (), [])
    assert found.problems[0].startswith("it was tampered with, or is damaged: ")


@each_row("deep", [False, True])
def test_a_part_that_was_put_in_another_s_place_is_found_though_the_sums_beside_it_fit(
    stack: Stack, deep: bool
) -> None:
    (stack.directory / "letters.txt").write_text("one two three")
    folder = create_backup(stack, only=("letters",)).backup.folder
    (stack.directory / "letters.txt").write_text("eno owt eerht")
    other = create_backup(stack, only=("letters",)).backup.folder
    (part,) = folder.glob("letters-*")
    (others,) = other.glob("letters-*")
    part.write_bytes(others.read_bytes())
    hostile.fitting(folder)
    found = verify_backup(stack, folder.name, deep=deep)
    assert found.authentication == State.AUTHENTICATED, "its manifest is as it was written"
    assert "has changed since it was written" in found.sentences[0]


def test_a_kind_that_does_not_read_its_part_to_the_end_has_not_checked_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_backup(stack, only=("letters",))
    monkeypatch.setattr(Notes, "check", lambda *_: [])
    assert "its SHA-256 differs" in verify_backup(stack).sentences[0]


def test_of_two_looks_within_a_second_the_later_one_is_the_last(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = create_backup(stack, only=("letters",)).backup.id
    with monkeypatch.context() as damaged:
        damaged.setattr(Notes, "check", lambda *_: ["it has no lines"])
        assert not verify_backup(stack, backup).ok
    assert verify_backup(stack, backup, deep=True).ok
    text = (stack.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_last_verification_success{name="backups"} 1.0' in text


@each_row(
    "left, words",
    [
        (Replaced("", ("numbers",), ()), "does not know how to undo numbers"),
        (
            Replaced("20260131T120000Z-0000", (), ()),
            "with the data from before the restore, is missing",
        ),  # which is no wrong use
    ],
)
def test_an_interrupted_restore_that_can_not_be_gone_back_from_keeps_its_note(
    stack: Stack, left: Replaced, words: str
) -> None:
    restore_journal(stack.layout).begin(left, REPLACE)
    with pytest.raises(OpsError, match=words) as refused:
        go_back_if_interrupted(stack)
    assert refused.value.exit_code == 1
    assert interrupted(stack.layout) is not None

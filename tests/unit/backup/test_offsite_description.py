"""The description of an off-site copy, and what came back beside a backup compared with what is here."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from rows import each_row

from techsapo_ops.backup.repository import description
from techsapo_ops.backup.repository.description import CopiedPath, Description, What, read
from techsapo_ops.backup.repository.folder import Backup, Repository
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.backup.verify_offsite import files, kit
from techsapo_ops.errors import OpsError

KEPT = CopiedPath("/srv/stack/techsapo.yaml", "/srv/stack/techsapo.yaml", What.SPEC, False, 0o640)
WHOLE = Description(
    backup="20260131T020000Z",
    project="shop",
    taken=datetime(2026, 1, 31, 2, 0, 9, tzinfo=UTC),
    tool="0.2.0",
    engine="native",
    environment="production",
    host="old",
    user="root",
    directory="/srv/stack",
    spec="techsapo.yaml",
    state="/srv/stack/.techsapo",
    tracing=False,
    paths=(KEPT,),
    variables=("SLACK_URL",),
    left={"prometheus": "backup.prometheus is off"},
)  # fmt: skip


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(WHOLE.text()), **members}).encode()


def test_a_newer_form_is_refused_with_words() -> None:
    with pytest.raises(OpsError, match="was written by a newer techsapo"):
        read(changed(version=2), "it")


@each_row(
    "members",
    [
        {"version": True},
        {"directory": "srv"},
        {"directory": "/srv/../etc"},
        {"directory": "//srv"},
        {"spec": "../techsapo.yaml"},
        {"spec": "a/b.yaml"},
        {"spec": ".."},
        {"state": "/srv/\0"},
        {"project": "../x"},
        {"environment": 7},
        {"taken": "yesterday"},
        {"kept": [{}]},
        {"kept": {}},
        {"kept": [json.loads(WHOLE.text())["kept"][0] | {"content": "/srv/../../etc/shadow"}]},
        {"kept": [json.loads(WHOLE.text())["kept"][0] | {"mode": 0o10000}]},
        {"kept": [json.loads(WHOLE.text())["kept"][0] | {"named": "a\nb"}]},
        {"left": {"redis": 8}},
        {"variables": "A"},
        {"host": "a\x1b[2Jb"},
    ],
    ids=str,
)
def test_what_could_mean_harm_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(OpsError, match="is damaged"):
        read(changed(**members), "it")


@each_row("data", [b"", b"[]", b"{", b"null", b"\xff", b'{"version": 1}', b"[" * 100_000])
def test_what_is_no_description_is_refused(data: bytes) -> None:
    with pytest.raises(OpsError, match="is damaged"):
        read(data, "it")


def test_one_that_is_too_long_or_names_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match="is damaged"):
        read(WHOLE.text().encode() + b" " * description.LONGEST, "it")
    monkeypatch.setattr(description, "_MOST", 1)
    assert read(WHOLE.text().encode(), "it") == WHOLE
    with pytest.raises(OpsError, match="is damaged"):
        read(changed(kept=json.loads(WHOLE.text())["kept"] * 2), "it")


class Away:
    """A stack of two files and a folder, and a whole copy of them that was taken in an hour."""

    def __init__(self, folder: Path) -> None:
        self.here, self.folder = folder / "here", folder / "back"
        self.taken = datetime.now(UTC) + timedelta(hours=1)
        for name in ("spec", "keys/one", "keys/two"):
            for path in (self.here / name, self.there(name)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(name)

    def there(self, name: str) -> Path:
        return self.folder / str(self.here / name).lstrip("/")

    def look(self) -> Copied:
        kept = [
            CopiedPath(str(self.here / name), str(self.here / name), what, name == "keys", 0o600)
            for name, what in (("spec", What.SPEC), ("keys", What.KEYS))
        ]
        kit = CopiedPath("/kit", str(self.here / "kit"), What.KIT, True, 0o700)
        described = replace(WHOLE, taken=self.taken, paths=(*kept, kit))
        return Copied(self.folder, described, cast(Repository, None), cast(Backup, None))


@pytest.fixture
def away(tmp_path: Path) -> Away:
    return Away(tmp_path)


def told(away: Away) -> str:
    return "; ".join(files(away.look()).problems)


def test_a_whole_copy_has_nothing_wrong(away: Away) -> None:
    (away.here / "kit").mkdir()  # which is looked at in a way of its own
    (away.here / "kit/techsapo_ops-0.2.0-py3-none-any.whl").touch()
    found = files(away.look())
    assert (found.problems, found.note) == ((), "")


@each_row("name", ["spec", "keys/two"])
def test_what_lacks_is_another_or_a_link_is_named(tmp_path: Path, name: str) -> None:
    away = Away(tmp_path)
    copy = away.there(name)
    copy.write_text("another")
    assert told(away) == f"{away.here / name} differs from its copy"
    copy.unlink()
    assert told(away) == f"{away.here / name} is missing from the copy"
    copy.symlink_to(away.here / name)  # which would be the same
    assert told(away) == f"{away.here / name} is missing from the copy"


@each_row("name", ["spec", "keys/two"])
def test_what_was_written_here_since_then_is_counted_and_no_fault(tmp_path: Path, name: str) -> None:
    away = Away(tmp_path)
    away.taken = datetime.now(UTC) - timedelta(hours=1)
    (away.here / name).write_text("newer")
    found = files(away.look())
    assert (found.problems, found.note) == ((), "1 files on this host have changed since the copy was made")
    away.there(name).unlink()
    assert told(away) == ""


def test_a_folder_that_did_not_come_back_is_named_once(away: Away) -> None:
    for name in ("keys/one", "keys/two"):
        away.there(name).unlink()
    away.there("keys").rmdir()
    assert told(away) == f"{away.here / 'keys'} is missing from the copy"


def test_the_wheel_of_then_can_be_unpacked_and_has_its_lock(away: Away) -> None:
    def wrong() -> tuple[str, ...]:
        (found,) = kit(away.look())
        return found.problems

    assert wrong() == ("the wheel of that version is missing from the copy",)
    folder = away.there("kit")
    folder.mkdir(parents=True)
    wheel = folder / "techsapo_ops-0.2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("techsapo_ops/__init__.py", "x = 1\n" * 100)
    (folder / "requirements.lock").touch()
    assert wrong() == ("the lock file of the wheel is missing from the copy",)
    (folder / "requirements.lock").write_text("pydantic==2\n")
    assert wrong() == ()
    content = wheel.read_bytes()
    noticed = []
    for at in range(content.index(b"__init__.py") + 11, content.rindex(b"PK\x01\x02")):
        wheel.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        noticed.append(bool(wrong()))  # the last bits may be nobody's
    assert sum(noticed) >= len(noticed) - 1 > 0
    wheel.write_bytes(content[:-30])
    assert "can't be unpacked" in wrong()[0]
    wheel.write_bytes(content)
    (folder / "techsapo_ops-0.1.0-py3-none-any.whl").write_bytes(content)
    assert wrong() == ("the wheel of that version is missing from the copy",)

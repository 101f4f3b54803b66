"""The spec travels with the state directory, and a folder that has another one is told."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from fakes.three_hosts import of

from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.spec_files import FOLDER, applied_elsewhere, keep_spec_files
from techsapo_ops.stack.layout import SPEC_SEEN, Layout
from techsapo_ops.stack.stack import Stack
from tests.fakes.open_stacks import open_stack


def stack_in(folder: Path) -> Stack:
    """A stack on three hosts whose spec lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "techsapo.yaml").write_text("project: techsapo\n")
    layout = Layout(state=folder / ".techsapo", config=folder / ".techsapo/generated")
    return open_stack(of(folder).relocated(layout))


def test_the_spec_travels_with_the_files_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    stack = stack_in(folder)
    (folder / ".env").write_text("A=secret\n")
    (folder / "template-overrides/nginx").mkdir(parents=True)
    (folder / "template-overrides/nginx/nginx.conf.j2").write_text("own")

    keep_spec_files(stack)
    (folder / ".env").unlink()
    keep_spec_files(stack)

    copies = stack.layout.state / FOLDER
    kept = sorted(str(path.relative_to(copies)) for path in copies.rglob("*") if path.is_file())
    assert kept == ["techsapo.yaml", "template-overrides/nginx/nginx.conf.j2"]
    assert (copies / "techsapo.yaml").stat().st_mode & 0o777 == 0o600


def applied(stack: Stack, number: int, user: str) -> None:
    """An apply of `stack` went well, and is recorded."""
    keep_spec_files(stack)
    Ledger(stack.layout.state).record(
        LedgerEntry(number, datetime.now(UTC), user, "up", "0.2", "swarm", None, "", "", "", "ok")
    )


def travelled(source: Stack, to: Stack) -> None:
    """The state directory of one host comes to another one, as a refresh brings it."""
    seen = to.layout.state / SPEC_SEEN
    had = seen.read_bytes() if seen.exists() else None
    shutil.copytree(source.layout.state, to.layout.state, dirs_exist_ok=True)
    seen.unlink()
    if had is not None:
        seen.write_bytes(had)


def test_a_folder_with_an_older_spec_is_told_who_has_applied_another_one_meanwhile(tmp_path: Path) -> None:
    a, b = stack_in(tmp_path / "a"), stack_in(tmp_path / "b")
    assert applied_elsewhere(a) == "", "nothing was applied yet"
    applied(a, 1, "root")
    assert applied_elsewhere(a) == ""
    travelled(a, b)
    assert applied_elsewhere(b) == "", "the same spec, from another folder"
    applied(b, 2, "root")

    (tmp_path / "a/techsapo.yaml").write_text("project: techsapo\napp: {instances: 3}\n")
    travelled(b, a)
    assert applied_elsewhere(a) == "", "its own change of what it has"
    applied(a, 3, "ops")
    travelled(a, b)
    told = applied_elsewhere(b)
    assert told.startswith("the last apply, @3 by ops, came from another folder, and techsapo.yaml differs")
    copies = b.layout.state / FOLDER
    assert told.endswith(f"The applied version is in {copies}")

    shutil.copy(copies / "techsapo.yaml", tmp_path / "b")
    assert applied_elsewhere(b) == "", "it has what was applied"

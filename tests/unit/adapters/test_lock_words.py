"""What is said where a lock can't be had: of what is wrong, and of who has it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import lock
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError


@each_row(
    "number, hint",
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the quota of this user is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EMFILE, "`ulimit -n`"),
        (errno.EACCES, "check who owns the folder"),
    ],
)
def test_the_hint_is_about_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(lock, "open_file", refuse)
    with pytest.raises(OpsError, match=os.strerror(number)) as caught, exclusive(tmp_path / "lock"):
        pass
    assert hint in caught.value.hint


@each_row("waits, hint", [(True, "pass --wait SECONDS"), (False, "then try again")])
def test_the_holder_is_named_and_wait_only_where_the_command_has_it(
    tmp_path: Path, waits: bool, hint: str
) -> None:
    pid = rf"\(pid {os.getpid()}, since "
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(OpsError, match=pid) as caught,
        exclusive(tmp_path / "lock", waits=waits),
    ):
        pass
    assert hint in caught.value.hint
    assert ("--wait" in caught.value.hint) == waits

"""Root's umask does not keep those as whom services run out of the stack's folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.folders import opened


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@each_row("below", [(), ("keys",), ("keys", "api")])
def test_a_folder_has_the_mode_that_it_is_made_with(tmp_path: Path, below: tuple[str, ...]) -> None:
    path = tmp_path.joinpath(".techsapo", *below)
    with opened(path, make=0o755):
        pass
    while path != tmp_path:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if os.geteuid() == 0 else 0o700), path
        path = path.parent


def test_nobody_else_may_write_one_that_may_have_any_mode(tmp_path: Path) -> None:
    os.umask(0)
    with opened(tmp_path / ".techsapo" / "jobs" / "certs", make=0o777):
        pass
    if os.geteuid() == 0:
        for path in (tmp_path / ".techsapo", tmp_path / ".techsapo/jobs", tmp_path / ".techsapo/jobs/certs"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o755, path


def test_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / ".techsapo"
    folder.mkdir(mode=0o700)
    with opened(folder, make=0o755):
        pass
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

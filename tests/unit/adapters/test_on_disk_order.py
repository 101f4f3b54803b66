from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.adapters.files import remove_file, write_atomic
from techsapo_ops.adapters.nofollow import NoFollowFile


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the kernel, by the names of files below `tmp_path`; one made up is `new`."""
    seen: list[str] = []

    def name(path: Path) -> str:
        return (
            "new"
            if path.name.startswith((".state", ".1.", ".git", ".restoring"))
            else os.path.relpath(path, tmp_path.parent)
        )

    def of(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def watch(call: str, said: Callable[..., str]) -> None:
        real = getattr(os, call)

        def noted(*given: Any, **named: Any) -> Any:
            seen.append(said(*given, **named))
            return real(*given, **named)

        monkeypatch.setattr(os, call, noted)

    watch("fsync", lambda d: f"flush {name(of(d))}")
    watch("replace", lambda a, b, **more: f"rename {name(of(more['src_dir_fd']) / a)} {b}")
    watch(
        "mkdir", lambda p, *_, **more: f"make {name(of(more['dir_fd']) / p if 'dir_fd' in more else Path(p))}"
    )
    watch(
        "unlink", lambda p, **more: f"remove {name(of(more['dir_fd']) / p if 'dir_fd' in more else Path(p))}"
    )
    return seen


def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_before_anybody_is_told(
    tmp_path: Path, order: list[str]
) -> None:
    write_atomic(tmp_path / "state.json", b"{}")
    here = tmp_path.name
    assert order == ["flush new", "rename new state.json", f"flush {here}"]


def test_a_new_folder_is_on_disk_before_what_is_in_it_is_said_to_be(tmp_path: Path, order: list[str]) -> None:
    write_atomic(tmp_path / "a/b/state.json", b"{}")
    here = tmp_path.name
    before, after = order[: order.index("flush new")], order[order.index("flush new") :]
    assert set(before) >= {f"make {here}/a", f"make {here}/a/b", f"flush {here}", f"flush {here}/a"}
    assert after == ["flush new", "rename new state.json", f"flush {here}/a/b"]


def test_below_a_state_directory_too(tmp_path: Path, order: list[str]) -> None:
    write_atomic(tmp_path / ".techsapo/ledger/1.json", b"{}")
    here = tmp_path.name
    assert order.index(f"make {here}/.techsapo") < order.index(f"flush {here}")
    assert order.index(f"make {here}/.techsapo/ledger") < order.index(f"flush {here}/.techsapo")
    assert order[-3:] == ["flush new", "rename new 1.json", f"flush {here}/.techsapo/ledger"]


def test_what_is_removed_is_gone_from_disk_as_well(tmp_path: Path, order: list[str]) -> None:
    (tmp_path / "restore.json").write_text("{}")
    remove_file(tmp_path / "restore.json")
    assert order[-2:] == [f"remove {tmp_path.name}/restore.json", f"flush {tmp_path.name}"]
    remove_file(tmp_path / "restore.json")


def test_files_outside_the_state_directory_are_treated_alike(tmp_path: Path, order: list[str]) -> None:
    file, here = NoFollowFile(tmp_path / "etc/state.json"), tmp_path.name
    file.put(io.BytesIO(b"x"), 0o600)
    made, flushed = order.index(f"make {here}/etc"), order.index(f"flush {here}")
    assert made < flushed < order.index("flush new") < order.index("rename new state.json")
    assert order[-1] == f"flush {here}/etc"
    file.remove()
    assert order[-2:] == [f"remove {here}/etc/state.json", f"flush {here}/etc"]

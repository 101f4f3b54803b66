"""Files on disk: whole or as they were, their users' alone, and never behind a link that somebody planted."""

from __future__ import annotations

import io
import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.files import let_read, reader_list, remove_file, write_atomic, write_in_place
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.json_files import read_json, write_json
from techsapo_ops.adapters.jsons import dump
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.errors import OpsError


def test_a_file_is_written_with_missing_folders_and_without_special_modes(tmp_path: Path) -> None:
    place = NoFollowFile(tmp_path / "a" / "b" / "file")
    assert place.look() is None
    place.remove()
    place.put(io.BytesIO(b"content"), 0o6755)
    facts = place.look()
    assert facts is not None
    assert oct(facts.st_mode) == "0o100755"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["file"]
    copy = io.BytesIO()
    place.copy_to(copy)
    assert copy.getvalue() == b"content"
    place.remove()
    assert place.look() is None


@each_row("depth", ["a folder", "a folder above", "the file"])
def test_a_link_is_refused_and_what_it_leads_to_stays(depth: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "file").write_text("precious")
    (outside / "b" / "file").write_text("precious")
    top = tmp_path / "top"
    if depth == "a folder above":
        top.symlink_to(outside)
    else:
        top.mkdir()
        if depth == "a folder":
            (top / "b").symlink_to(outside)
        else:
            (top / "b").mkdir()
            (top / "b" / "file").symlink_to(outside / "file")
    place = NoFollowFile(top / "b" / "file")
    for work in (place.look, lambda: place.put(io.BytesIO(b"x"), 0o644), lambda: place.copy_to(io.BytesIO())):
        with pytest.raises(OpsError, match=r"symbolic"):
            work()
    assert {p.read_text() for p in outside.rglob("file")} == {"precious"}


def test_a_pipe_or_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OpsError, match="not a regular file"):
            NoFollowFile(tmp_path / name).put(io.BytesIO(b"x"), 0o644)


def test_a_full_disk_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = NoFollowFile(tmp_path / "file")
    place.put(io.BytesIO(b"old"), 0o644)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OpsError, match="No space left on device"):
        place.put(io.BytesIO(b"new"), 0o644)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"before")
    path.chmod(0o600)
    return path


@each_row("content", [b"b", b"after" * 5000], ids=["shorter", "longer"])
def test_the_same_file_holds_the_new_content_and_no_more_for_its_owner_alone(
    file: Path, content: bytes
) -> None:
    before = file.stat().st_ino
    file.chmod(0o644)
    write_in_place(file, content, 0o600)
    assert (file.read_bytes(), file.stat().st_ino) == (content, before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_has_no_room_is_said_and_nothing_is_changed(file: Path) -> None:
    child = os.fork()
    if child == 0:
        code = 2
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            write_in_place(file, b"after" * 5000, 0o600)
        except OpsError as error:
            code = 0 if str(file) in str(error) else 3
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert file.read_bytes() == b"before"


def test_a_containers_user_that_was_let_read_it_still_is(file: Path) -> None:
    let_read(file, [10001])
    write_in_place(file, b"after", 0o600)
    found = os.getxattr(file, "system.posix_acl_access")
    assert found == reader_list(0o600, [10001])


def test_a_link_is_left_alone(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    with pytest.raises(OpsError, match="is a symbolic link"):
        write_in_place(link, b"after", 0o600)
    assert file.read_bytes() == b"before"


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
@each_row("below", [(), ("keys", "api")])
def test_a_folder_has_the_mode_that_it_is_made_with(tmp_path: Path, below: tuple[str, ...]) -> None:
    path = tmp_path.joinpath(".techsapo", *below)
    with opened(path, make=0o755):
        pass
    while path != tmp_path:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if os.geteuid() == 0 else 0o700), path
        path = path.parent


@pytest.mark.usefixtures("strict_umask")
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


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the kernel, by the names of files below `tmp_path`; one made up is `new`."""
    seen: list[str] = []

    def name(path: Path) -> str:
        made_up = path.name.startswith((".state", ".restoring"))
        return "new" if made_up else os.path.relpath(path, tmp_path.parent)

    def of(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def below(path: str, dir_fd: int | None = None) -> Path:
        return Path(path) if dir_fd is None else of(dir_fd) / path

    def watch(call: str, said: Callable[..., str]) -> None:
        real = getattr(os, call)

        def noted(*given: Any, **named: Any) -> Any:
            seen.append(said(*given, **named))
            return real(*given, **named)

        monkeypatch.setattr(os, call, noted)

    watch("fsync", lambda d: f"flush {name(of(d))}")
    watch("replace", lambda a, b, **more: f"rename {name(of(more['src_dir_fd']) / a)} {b}")
    for call, word in (("mkdir", "make"), ("unlink", "remove")):
        watch(call, lambda p, *_, word=word, **more: f"{word} {name(below(p, **more))}")
    return seen


def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_before_anybody_is_told(
    tmp_path: Path, order: list[str]
) -> None:
    write_atomic(tmp_path / "state.json", b"{}")
    here = tmp_path.name
    assert order == ["flush new", "rename new state.json", f"flush {here}"]


def test_a_new_folder_is_on_disk_before_what_is_in_it_is_said_to_be(tmp_path: Path, order: list[str]) -> None:
    write_atomic(tmp_path / ".techsapo/ledger/state.json", b"{}")
    above, here, folder = (f"{tmp_path.name}{part}" for part in ("", "/.techsapo", "/.techsapo/ledger"))
    assert order.index(f"make {here}") < order.index(f"flush {above}")
    assert order.index(f"make {folder}") < order.index(f"flush {here}")
    assert order[-3:] == ["flush new", "rename new state.json", f"flush {folder}"]


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


def count(value: Any) -> int:
    return int(value["count"])


def test_json_that_was_written_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "note.json"
    assert read_json(file, count, empty=0, remedy="") == 0, "there is none yet"
    write_json(file, {"count": 3, "who": "山田"})
    assert read_json(file, count, empty=0, remedy="") == 3
    assert "山田" in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_json(file / "note.json", count, empty=0, remedy="") == 0
    with pytest.raises(OpsError, match="cannot read"):
        read_json(tmp_path, count, empty=0, remedy="")


@each_row("content", [b"", b"{", b"[]", b"{}", b'{"count": "x"}', b"\xff", b"[" * 100_000])
def test_a_damaged_one_is_named_with_its_remedy(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "note.json"
    file.write_bytes(content)
    with pytest.raises(OpsError, match=r"note\.json is damaged") as refused:
        read_json(file, count, empty=0, remedy="remove it")
    assert refused.value.hint == "remove it"


def test_values_become_compact_utf_8_also_what_is_half_a_character() -> None:
    assert (
        dump({"答え": ["ディスク", 0.5, None, 2**70]}).decode() == f'{{"答え":["ディスク",0.5,null,{2**70}]}}'
    )
    assert dump("broken \ud800 off").decode() == '"broken ? off"'
    assert dump({"file": Path("a")}, default=str) == b'{"file":"a"}'

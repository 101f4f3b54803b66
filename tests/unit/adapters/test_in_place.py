"""Files that are changed where they are: whole, or not at all where there is no room."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import access_list
from techsapo_ops.adapters.files import write_in_place
from techsapo_ops.errors import OpsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"before")
    path.chmod(0o600)
    return path


@each_row("content", [b"b", b"after" * 5000], ids=["shorter", "longer"])
def test_the_same_file_holds_the_new_content_and_no_more(file: Path, content: bytes) -> None:
    before = file.stat().st_ino
    write_in_place(file, content, 0o600)
    assert (file.read_bytes(), file.stat().st_ino) == (content, before)


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


def test_others_that_could_read_it_can_not_any_more(file: Path) -> None:
    file.chmod(0o644)
    write_in_place(file, b"after", 0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_containers_user_that_was_let_read_it_still_is(file: Path) -> None:
    access_list.let_read(file, [10001])
    write_in_place(file, b"after", 0o600)
    found = os.getxattr(file, "system.posix_acl_access")
    assert found == access_list.reader_list(0o600, [10001])


def test_a_link_is_left_alone(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    with pytest.raises(OpsError, match="is a symbolic link"):
        write_in_place(link, b"after", 0o600)
    assert file.read_bytes() == b"before"

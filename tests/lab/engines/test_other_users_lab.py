"""What holds where another user of the host is at work: locks, templates, programs and processes."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from stacks import spec, topology

from techsapo_ops.adapters import host
from techsapo_ops.adapters.host import gather
from techsapo_ops.adapters.lock import exclusive, held
from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.adapters.strict_modes import UntrustedError
from techsapo_ops.engines.native.engine import NativeEngine
from techsapo_ops.services.registry import service_users

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act for others"),
]

SOMEBODY, NOBODY = 54321, 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder below /tmp that other users can reach; pytest's own are 0700."""
    with tempfile.TemporaryDirectory(prefix="techsapo-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_another_user_of_this_host_can_not_take_a_lock(open_folder: Path) -> None:
    path = open_folder / "lock"
    path.touch()
    path.chmod(0o644)
    with exclusive(path):
        pass
    assert path.stat().st_mode & 0o777 == 0o600
    taken = ["/bin/cat", str(path)]
    done = subprocess.run(
        taken, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, timeout=60, check=False
    )
    assert b"Permission denied" in done.stderr
    with exclusive(path):
        assert held(path)
    assert not held(path)


def test_a_bind_mount_in_another_mount_and_pid_namespace_has_the_same_lock(tmp_path: Path) -> None:
    path = tmp_path / "a" / "lock"
    (tmp_path / "b").mkdir()
    look = (
        "import sys; from pathlib import Path; from techsapo_ops.adapters.lock import held\n"
        f"sys.exit(held(Path('{tmp_path}/b/lock')))"
    )
    script = f'mount --bind {tmp_path}/a {tmp_path}/b && exec {sys.executable} -c "$1"'
    inside = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", look]
    with exclusive(path):
        done = subprocess.run(inside, capture_output=True, timeout=60, check=False)
        if b"Operation not permitted" in done.stderr:
            pytest.skip("no mounts here")
        assert (done.returncode, done.stderr) == (1, b"")
    assert subprocess.run(inside, timeout=60, check=False).returncode == 0


def test_templates_that_this_user_may_not_read_are_told_and_not_left_out(open_folder: Path) -> None:
    """Jinja takes a file in a folder that it can't enter for one that is not there."""
    closed = open_folder / "template-overrides/redis"
    closed.mkdir(parents=True)
    (closed / "redis.conf.j2").touch()
    closed.chmod(0o700)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from techsapo_ops.stack.template_folders import find_overrides\n"
        "os.seteuid(65534); print(find_overrides(Path(sys.argv[1]), None).obstacle.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, open_folder], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"cannot read {closed}: Permission denied\n"


def test_a_program_that_a_service_is_entered_for_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher becomes programs by name: those, too, only run where nobody else could change them."""
    program = tmp_path / "bin" / "hello"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    engine = NativeEngine(topology(spec(), tmp_path), SubprocessRunner(), {})
    service = engine.topology.services[0].name
    hello = Command(("hello",), cwd=tmp_path)
    assert SubprocessRunner().run(engine.enter(service, hello)).output == "hello"
    os.chown(program, SOMEBODY, SOMEBODY)
    with pytest.raises(UntrustedError, match="is owned by uid 54321"):
        SubprocessRunner().run(engine.enter(service, hello))


def test_only_users_that_reach_the_state_directory_are_listed(open_folder: Path) -> None:
    state = open_folder / "project/.techsapo"
    known = {entry.pw_name for entry in pwd.getpwall()}
    facts = gather(state, "", (), service_users())
    assert facts.users == known.intersection(service_users())
    assert facts.app_users <= facts.users
    (open_folder / "project").mkdir(mode=0o700)
    assert gather(state, "", (), service_users()).users == frozenset()


def test_a_python_below_a_closed_home_can_not_be_run_by_others(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = open_folder / "home/.pyenv/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (open_folder / "home").chmod(0o700)
    venv = open_folder / "venv/bin/python"
    venv.parent.mkdir(parents=True)
    venv.symlink_to(python)
    monkeypatch.setattr(host, "_python_paths", lambda: (venv,))
    assert gather(open_folder, "", (), ["nobody"]).users == {"nobody"}
    assert gather(open_folder, "", (), ["nobody"]).app_users == frozenset()
    (open_folder / "home").chmod(0o755)
    assert gather(open_folder, "", (), ["nobody"]).app_users == {"nobody"}

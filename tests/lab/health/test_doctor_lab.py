"""doctor's port to apt, on this very system: a tiny package comes and goes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import binary

from techsapo_ops.adapters.apt import POLICY, Apt
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.adapters.units import Units

pytestmark = pytest.mark.lab
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("apt-get") is None, reason="installs a package: needs root and apt"
)
TINY = "hello"


def real_apt() -> Apt:
    run = SubprocessRunner()
    return Apt(run, Units(run, shutil.which("systemctl")))


@pytest.fixture
def absent() -> Iterator[None]:
    """The tiny package is not installed before and after."""

    def purge() -> None:
        subprocess.run(["apt-get", "-qq", "purge", "--yes", TINY], check=True, capture_output=True)

    if not real_apt().missing([TINY]):
        purge()
    yield
    purge()


@needs_root
def test_a_package_is_installed_and_the_policy_is_as_before(absent: None) -> None:
    def state() -> tuple[bytes, int, int] | None:
        return (
            (POLICY.read_bytes(), POLICY.stat().st_mode, POLICY.stat().st_mtime_ns)
            if POLICY.exists()
            else None
        )

    before = state()
    said: list[str] = []
    done = real_apt().install([TINY], said.append)
    assert done.packages == (TINY,)
    assert done.disabled == ()
    assert real_apt().missing([TINY]) == ()
    assert subprocess.run([TINY], capture_output=True, check=True).stdout == b"Hello, world!\n"
    assert f"installing {TINY}" in said
    assert state() == before
    assert real_apt().install([TINY], said.append).packages == ()


def test_units_are_disabled_by_their_files_where_systemd_does_not_run(tmp_path: Path) -> None:
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for name in ("old", "new"):
        (units / f"{name}.service").write_text(
            "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
        )
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(parents=True)
    for name in ("old", "new"):
        (wanted / f"{name}.service").symlink_to(f"/usr/lib/systemd/system/{name}.service")
    system = Units(SubprocessRunner(), binary("systemctl"), tmp_path)
    assert system.enabled() == {"old.service", "new.service"}
    system.disable(["new.service"])
    assert system.enabled() == {"old.service"}
    assert system.running() == frozenset()

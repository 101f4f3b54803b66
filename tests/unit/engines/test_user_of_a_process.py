"""Whom a service runs as, in `techsapo ps`."""

from __future__ import annotations

import os
import pwd
import subprocess

import pytest

from techsapo_ops.engines.native.recorded import _user_of


def test_it_is_the_user_that_the_process_really_has() -> None:
    """An app that runs as root, since no other user reaches its folder, had none."""
    assert _user_of(os.getpid()) == pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.skipif(os.geteuid() != 0, reason="starts a process of another user")
def test_also_that_of_another_one() -> None:
    with subprocess.Popen(["/usr/bin/sleep", "60"], user="nobody") as process:
        found = _user_of(process.pid)
        process.kill()
    assert found == "nobody"


def test_one_that_is_gone_has_none() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    assert _user_of(process.pid) is None

"""Whom a service runs as, in `techsapo ps`."""

from __future__ import annotations

import os
import pwd
import subprocess

from techsapo_ops.engines.native.recorded import _user_of


def test_it_is_the_user_that_the_process_really_has() -> None:
    """An app that runs as root, since no other user reaches its folder, had none."""
    assert _user_of(os.getpid()) == pwd.getpwuid(os.getuid()).pw_name


def test_one_that_is_gone_has_none() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    assert _user_of(process.pid) is None

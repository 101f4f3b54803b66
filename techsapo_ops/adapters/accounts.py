"""System users."""

from __future__ import annotations

import pwd

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def exists(name: str) -> bool:
    """Whether there is a user `name`."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def add_command(name: str) -> Command:
    """The call that adds a system user with a group of its own, without home, password or shell."""
    return Command(
        (
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir=/nonexistent",
            "--shell=/usr/sbin/nologin",
            name,
        )
    )


def add(name: str, runner: Runner) -> None:
    """Add the system user `name`, as root. Raises OpsError saying what useradd said."""
    done = runner.run(add_command(name))
    if done.code != 0:
        raise OpsError(msg("`{command}` failed: {output}", command=done.command, output=done.output))

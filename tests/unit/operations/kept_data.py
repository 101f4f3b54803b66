"""A project in memory that has data, whose Redis says how much."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from fakes.memory_project import MemoryProject

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack

KEYS = (
    "redis_version:7.0.15\r\nrdb_changes_since_last_save:0\r\ntotal_commands_processed:1\r\n"
    "db0:keys=1204,expires=0\r\n"
)


class Shell:
    """A host with a shell, whose Redis says how many keys it has."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        if command.argv[0] == "sh":
            done = subprocess.run(
                command.argv, cwd=command.cwd, capture_output=True, timeout=timeout, check=False
            )
            return Completed(command, done.returncode, done.stdout, done.stderr)
        if "INFO" in command.argv:
            return Completed(command, 0, KEYS.encode(), b"")
        raise OpsError(f"{command} must not run here")


class Project(MemoryProject):
    def stack(self, **sections: object) -> Stack:
        return replace(super().stack(**sections), runner=Shell())


def data(project: Project) -> Path:
    return project.folder / ".techsapo" / "data"

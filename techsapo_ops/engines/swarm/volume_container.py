"""Containers that are never started, by which a volume is read and written without one that runs."""

from __future__ import annotations

from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.swarm import bundle

_IMAGE = "techsapo/nothing:1"
_SECONDS = 60.0


def make(member: Docker, project: str, name: str, mount: str) -> None:
    """Make the container `name` on a machine, with `mount` (VOLUME:FOLDER) in it. Raises OpsError.

    One that is there stays.
    """
    if member.attempt("container", "inspect", "--format", "{{.Id}}", name).code == 0:
        return
    if member.attempt("image", "inspect", "--format", "{{.Id}}", _IMAGE).code != 0:
        empty = Command(member.streaming("import", "-", _IMAGE).argv, stdin=bundle.EMPTY)
        member.runner.run(empty, timeout=_SECONDS)
    label = ("--label", f"{STACK}.state={project}")
    member.call("container", "create", "--name", name, *label, "--volume", mount, _IMAGE, "none")

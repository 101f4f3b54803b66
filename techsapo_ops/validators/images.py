"""Tools inside the services' own images: a host that has only Docker lacks nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.topology import Topology


@dataclass(frozen=True, slots=True)
class ToolImage:
    """An image that is here and holds a tool; `docker` is the client's path."""

    docker: str
    reference: str
    program: str | None = None
    """The tool's name in the image, where it is another than on a host."""
    host: str | None = None
    """The daemon, where it is not the client's own."""

    def argv(self, tool: str, arguments: Sequence[str], folder: Path, root: str) -> tuple[str, ...]:
        """The call of `tool` in a throwaway container without a network, in `folder` below `root`.

        It runs as the caller, who owns that folder, and under the same paths.
        """
        daemon = ("--host", self.host) if self.host is not None else ()
        return (
            self.docker, *daemon, "run", "--rm", "--pull", "never", "--network", "none",
            # nginx run by root gives its folders to its workers' user.
            "--user", f"{os.geteuid()}:{os.getegid()}", "--cap-drop", "ALL", "--cap-add", "CHOWN",
            "--security-opt", "no-new-privileges:true", "--volume", f"{root}:{root}",
            "--workdir", str(folder), "--entrypoint", self.program or tool, self.reference, *arguments,
        )  # fmt: skip


def tool_images(topology: Topology, runner: Runner) -> Mapping[str, ToolImage]:
    """The images of `topology` that are here, by the tool that they hold; none where it uses none."""
    binary = topology.host.binaries.get("docker")
    if not topology.places.from_images or binary is None:
        return {}
    wanted = {
        kind.validator: topology.spec.image_of(kind.name, kind.facts.image)
        for kind in kinds()
        if kind.validator is not None and topology.has(kind.name)
    }
    ways = [machine.docker for machine in topology.places.hosts(topology.spec, between=False)]
    # Only a daemon of this host sees the folder that is looked at.
    way = next((way for way in ways if urlsplit(way).scheme in {"", "unix"}), None)
    if way is None:
        return {}
    host = way or None
    try:
        present = Docker(runner, binary, host).image_ids(wanted.values())
    except OpsError:  # no daemon: the host's own tools have to do
        return {}
    return {
        tool.name: ToolImage(binary, name, tool.in_image, host)
        for tool, name in wanted.items()
        if name in present
    }

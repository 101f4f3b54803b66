"""A stack of Docker Compose as it was recorded: seen, read, measured and stopped without its spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.engines.containers.stack import STATS, ContainerStack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.adapters.container_facts import ContainerFacts

STOP_MARGIN = 30.0
"""Seconds beyond a container's own stop time, after which Docker has killed it."""


class ComposeStack(ContainerStack):
    """What can be done to a stack of the compose engine with its state directory alone."""

    name = "compose"
    at_once = 4

    @override
    def containers(self) -> dict[str, ContainerFacts]:
        """The stack's containers by service.

        Raises OpsError where the project's name is taken by a stack of another folder.
        """
        # Swarm's bear Compose's labels too, where Compose has built their image: they are another engine's.
        containers = [c for c in self.docker.containers(self.project) if not c.of_swarm]
        own = self.layout.config.resolve()
        for container in containers:
            if not container.folder.resolve().is_relative_to(own):
                raise OpsError(
                    msg(
                        "Docker already has a project {project}, from another folder: {folder}",
                        project=self.project,
                        folder=container.folder,
                    ),
                    msg("give this stack another name: `project:` in the spec"),
                )
        return {container.service: container for container in containers}

    @property
    @override
    def data_place(self) -> str:
        return msg("in the stack's Docker volumes")

    @override
    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        """Stop every container after those that need it, and remove it with the networks.

        With `remove_data` the volumes, and the keys that were made for their content, are deleted.
        """
        self.forget()
        records = self.state.load()
        containers = self.containers()
        left = dict(containers)
        stopped: list[str] = []
        while left:
            needed = {need for name in left if name in records for need in records[name].needs}
            free = [name for name in reversed(list(left)) if name not in needed] or list(left)
            seconds = max((records[n].stop_seconds for n in free if n in records), default=10)
            self.docker.call("stop", *(left[n].id for n in free), timeout=seconds + STOP_MARGIN)
            stopped += [name for name in free if left[name].state in {"running", "restarting", "paused"}]
            for name in free:
                del left[name]
        if containers:
            self.docker.call("rm", "--force", "--volumes", *(c.id for c in containers.values()))
        self._remove("network")
        if remove_data:
            self._remove("volume")
            self._remove_own_files()
        self.state.clear()
        return tuple(stopped)

    def _remove(self, kind: str) -> None:
        from techsapo_ops.adapters.container_facts import PROJECT

        ids = self.docker.call(kind, "ls", "-q", "--filter", f"label={PROJECT}={self.project}").split()
        if ids:
            self.docker.call(kind, "rm", *ids)

    @override
    def _stats(self, containers: Sequence[str]) -> str:
        return self.docker.call(*STATS, *containers) if containers else ""

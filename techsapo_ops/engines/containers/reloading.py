"""Makes a running container take over changed files.

Not by `docker kill --signal HUP`: Docker notes any kill as a wish of the user's to have the container
stopped, and then does not start it again when it ends by itself. A signal that is sent inside is none.
"""

from __future__ import annotations

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_TIMEOUT = 30.0


def can_reload(service: Service) -> bool:
    """Whether its container can be told; one that can't is restarted."""
    return kind_of(service).reloads_in_container


def reload(docker: Docker, container: ContainerFacts, service: Service, topology: Topology) -> None:
    """Tell `service` to load its configuration again. Raises OpsError where it refuses it."""
    from techsapo_ops.engines.told_reload import reload_told

    command = Command(kind_of(service).reload_command)

    def tell() -> None:
        done = docker.execute(container.id, command, timeout=_TIMEOUT)
        if done.code != 0:
            raise OpsError(
                msg(
                    "{service} refuses its configuration: {output}",
                    service=service.name,
                    output=done.output[:1000],
                )
            )

    reload_told(topology, service, tell)

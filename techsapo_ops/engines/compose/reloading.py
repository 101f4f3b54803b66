"""Makes a running container take over changed files.

Not by `docker kill --signal HUP`: Docker notes any kill as a wish of the user's to have the container
stopped, and then does not start it again when it ends by itself.
"""

from __future__ import annotations

from techsapo_ops.adapters.docker import ContainerFacts, Docker
from techsapo_ops.adapters.http import Unreachable, send
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_TIMEOUT = 30.0


def can_reload(service: Service) -> bool:
    """Whether its container can be told; one that can't is restarted."""
    return kind_of(service).reloads_in_container


def reload(docker: Docker, container: ContainerFacts, service: Service, topology: Topology) -> None:
    """Tell `service` to load its configuration again. Raises OpsError where it refuses it."""
    kind = kind_of(service)
    if kind.reload_path:
        _over_http(topology.address(service, Viewpoint.HOST).url(kind.reload_path), service)
        return
    done = docker.execute(container.id, Command(kind.reload_command), timeout=_TIMEOUT)
    if done.code != 0:
        raise OpsError(f"{service.name} refuses its configuration: {done.output[:1000]}")


def _over_http(url: str, service: Service) -> None:
    try:
        answer = send(url, timeout=_TIMEOUT)
    except Unreachable as error:
        raise OpsError(f"{service.name} can't be told to reload: {error.reason}") from None
    if not answer.ok:
        raise OpsError(f"{service.name} refuses its configuration: {answer.text.strip()[:1000]}")

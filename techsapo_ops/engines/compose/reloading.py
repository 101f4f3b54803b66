"""Makes a running container take over changed files.

Not by `docker kill --signal HUP`: Docker notes any kill as a wish of the user's to have the container
stopped, and then does not start it again when it ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.adapters.docker import ContainerFacts, Docker
from techsapo_ops.adapters.http import Unreachable, send
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_TIMEOUT = 30.0

Reloader = Callable[[Docker, ContainerFacts, Service, Topology], None]


def _over_http(_: Docker, __: ContainerFacts, service: Service, topology: Topology) -> None:
    url = topology.address(service, Viewpoint.HOST).url("/-/reload")
    try:
        answer = send(url, timeout=_TIMEOUT)
    except Unreachable as error:
        raise OpsError(f"{service.name} can't be told to reload: {error.reason}") from None
    if not answer.ok:
        raise OpsError(f"{service.name} refuses its configuration: {answer.text.strip()[:1000]}")


def _nginx(docker: Docker, container: ContainerFacts, service: Service, _: Topology) -> None:
    argv = ("nginx", "-p", "/data", "-c", "/etc/techsapo/nginx/nginx.conf", "-e", "stderr", "-s", "reload")
    done = docker.execute(container.id, Command(argv), timeout=_TIMEOUT)
    if done.code != 0:
        raise OpsError(f"{service.name} refuses its configuration: {done.output[:1000]}")


RELOADERS: dict[str, Reloader] = {"prometheus": _over_http, "alertmanager": _over_http, "nginx": _nginx}
"""How each kind is told; a kind that is not here is restarted."""

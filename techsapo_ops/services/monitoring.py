"""The stack's Prometheus and Alertmanager as the tool asks them: from this host, or from inside the stack.

On several machines nothing of the monitoring is published: whoever types need not reach the machines'
networks, and Docker does. An instance of the app, whose image has Python, asks there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.monitoring_server import MonitoringServer, Way, straight
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.errors import OpsError
from techsapo_ops.services.loaded_configuration import login_at
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.address import Viewpoint

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Command, Completed
    from techsapo_ops.stack.stack import Stack

Server = TypeVar("Server", bound=MonitoringServer)
_TIMEOUT = 5.0


def prometheus_of(stack: Stack, timeout: float = _TIMEOUT) -> Prometheus | None:
    """The stack's Prometheus, of several the first that answers; None where it runs none."""
    return _server(stack, "prometheus", Prometheus, timeout)


def alertmanager_of(stack: Stack, timeout: float = _TIMEOUT) -> Alertmanager | None:
    """The stack's Alertmanager, likewise."""
    return _server(stack, "alertmanager", Alertmanager, timeout)


def _server(stack: Stack, kind: str, made: type[Server], timeout: float) -> Server | None:
    topology = stack.topology
    services = topology.of_kind(kind)
    if not services:
        return None
    way = straight if topology.published(services[0]) else _way_inside(stack)
    urls = [topology.address(service, Viewpoint.HOST).url() for service in services]
    return made(urls, timeout=timeout, login=login_at(topology, kind), way=way)


def _way_inside(stack: Stack) -> Way:
    from techsapo_ops.adapters.monitoring_server import Inside, NotEntered

    asks = next(kind.name for kind in kinds() if kind.asks_others)

    def run(command: Command, seconds: float) -> Completed:
        try:
            entered = stack.engine.enter(asks, command)
        except OpsError as error:
            raise NotEntered(error) from None
        return stack.runner.run(entered, timeout=seconds)

    return Inside(run, stack.engine.python)

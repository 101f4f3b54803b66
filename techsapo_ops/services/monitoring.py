"""The stack's Prometheus and Alertmanager as the tool asks them: from this host, or from inside the stack.

On several machines nothing of the monitoring is published: whoever types need not reach the machines'
networks, and Docker does. An instance of the app, whose image has Python, asks there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.adapters.monitoring_server import MonitoringServer, Way, straight
from techsapo_ops.adapters.prometheus import Prometheus, Promtool, Sample
from techsapo_ops.errors import OpsError
from techsapo_ops.services.loaded_configuration import login_at
from techsapo_ops.services.monitor import USER
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.address import Viewpoint

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Command, Completed
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack


Server = TypeVar("Server", bound=MonitoringServer)
_TIMEOUT = 5.0
_LONG = 3600.0
SCRATCH_PASSWORD = "password"  # noqa: S105 - a file's name
"""File in a throwaway server's folder."""


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


def first_reached(stack: Stack, kind: str) -> Service:
    """The first service of `kind` whose machine answers; the first, where none does or there is only one.

    Raises StopIteration where there is none at all.
    """
    services = stack.topology.of_kind(kind)
    first = next(iter(services))
    if len(services) == 1:
        return first
    return next((service for service in services if stack.engine.reaches(service.name)), first)


class Asked(Protocol):
    """A Prometheus that is asked what it holds, over HTTP or otherwise. Methods raise ApiError."""

    def query(self, expression: str) -> Sequence[Sample]:
        """The instant vector of an expression now."""
        ...

    def own(self, metric: str) -> float | None:
        """The value of a metric without labels that it has of itself."""
        ...


def api(stack: Stack) -> Prometheus:
    """The API of the stack's first Prometheus that is reached; what is asked of it may take long."""
    server = prometheus_of(stack, _LONG)
    assert server is not None, "of a stack that has one"  # noqa: S101 - a mistake of ours, no input
    return server.each()[stack.topology.of_kind("prometheus").index(first_reached(stack, "prometheus"))]


def scratch_api(scratch: Scratch) -> Asked:
    """A throwaway Prometheus, to be asked: one without a way for this process by its own promtool."""
    url = scratch.address.url()
    if scratch.by_hand is None:
        login = BasicLogin(USER, scratch.directory / SCRATCH_PASSWORD)
        return Prometheus(url, timeout=_LONG, login=login)
    assert scratch.run is not None  # noqa: S101 - every engine gives one
    return Promtool(url, scratch.run)

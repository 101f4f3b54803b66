"""How a Prometheus is asked what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.adapters.prometheus import Prometheus, Promtool, Sample
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.services.reached import first_reached
from techsapo_ops.services.web_login import USER

if TYPE_CHECKING:  # `techsapo backup --help` knows of Prometheus, and reads no spec
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack

_LONG = 3600.0
SCRATCH_PASSWORD = "password"  # noqa: S105 - a file's name
"""File in a throwaway server's folder."""


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

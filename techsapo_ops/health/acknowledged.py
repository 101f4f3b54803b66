"""Who has what fires, for the report."""

from __future__ import annotations

import threading
import time

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.errors import OpsError
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, holders
from techsapo_ops.services.alertmanager.kind import Alertmanager as AlertmanagerKind
from techsapo_ops.services.loaded_configuration import Server, server_of
from techsapo_ops.services.prometheus.kind import Prometheus as PrometheusKind
from techsapo_ops.stack.kind import Kind
from techsapo_ops.stack.topology import Topology


class AskedMeanwhile:
    """Asks while other parts are probed. A stack without these servers, and servers that do not answer, tell
    nothing: the report has their parts.
    """

    def __init__(self, topology: Topology, timeout: float) -> None:
        self._topology = topology
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._found: tuple[Acknowledgement, ...] = ()
        self._thread = threading.Thread(target=self._ask, name="who has which alert", daemon=True)
        self._thread.start()

    def found(self) -> tuple[Acknowledgement, ...]:
        """What was told within the time."""
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        return self._found

    def _ask(self) -> None:
        prometheus, alertmanager = self._server(PrometheusKind), self._server(AlertmanagerKind)
        if prometheus is None or alertmanager is None:
            return
        try:
            held = holders(
                Prometheus(prometheus.url, timeout=self._timeout, login=prometheus.login),
                Alertmanager(alertmanager.url, timeout=self._timeout, login=alertmanager.login),
            )
        except OpsError:
            return
        self._found = tuple(held.values())

    def _server(self, kind: type[Kind]) -> Server | None:
        service = self._topology.find(kind.facts.kind)
        if service is None or not self._topology.published(service):
            return None
        return server_of(self._topology, service)

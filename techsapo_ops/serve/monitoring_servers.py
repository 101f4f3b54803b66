"""The stack's Prometheus and Alertmanager, as the pages ask them."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.serve.acknowledgements import Acknowledgements
from techsapo_ops.serve.options import Options

_TIMEOUT = 8.0
"""Seconds in which they must answer."""


@dataclass(frozen=True, slots=True)
class MonitoringServers:
    """Each is None where the stack has none; who has which alert is known where it has both."""

    prometheus: Prometheus | None
    alertmanager: Alertmanager | None
    acknowledgements: Acknowledgements | None

    @classmethod
    def of(cls, options: Options) -> MonitoringServers:
        """Those that the options name."""
        prometheus = alertmanager = acknowledgements = None
        if options.prometheus is not None:
            prometheus = Prometheus(options.prometheus, timeout=_TIMEOUT, login=options.prometheus_login)
        if options.alertmanager is not None:
            alertmanager = Alertmanager(
                options.alertmanager, timeout=_TIMEOUT, login=options.alertmanager_login
            )
        if prometheus is not None and alertmanager is not None:
            acknowledgements = Acknowledgements(prometheus, alertmanager)
        return cls(prometheus, alertmanager, acknowledgements)

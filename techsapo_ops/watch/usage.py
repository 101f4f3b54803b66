"""What each service of a running stack uses now, for `techsapo monit`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.adapters.http import Unreachable, fetch
from techsapo_ops.services.registry import facts
from techsapo_ops.stack.engine import Recorded
from techsapo_ops.stack.observed import Observed, ObservedService

REQUESTS = "techsapo_http_requests_total"
_SAMPLE = re.compile(rf"^{REQUESTS}(?:\{{[^\n]*\}})? ([0-9.eE+]+)(?: |$)", re.MULTILINE)
_TIMEOUT = 1.0
_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """One service at one moment; None where it is not known.

    CPU in percent of one core, memory in bytes, requests per second.
    """

    service: str
    state: str
    pid: int | None
    started: datetime | None
    restarts: int
    cpu_percent: float | None
    memory_bytes: int | None
    requests_per_second: float | None
    host: str = ""
    """Of several the machine that it is on."""


class Monitor:
    """Reads a stack again and again; rates are those between two readings."""

    def __init__(self, stack: Recorded) -> None:
        self._stack = stack
        self.seen = Observed(False)
        """All that was seen at the last reading."""
        self._counts: dict[str, tuple[float, float]] = {}

    def read(self) -> tuple[Reading, ...]:
        """One reading of every service, in the order in which they were started."""
        self.seen = self._stack.observe(measure=True)
        return tuple(map(self._reading, self.seen.services.values()))

    def _reading(self, service: ObservedService) -> Reading:
        usage = service.usage
        return Reading(
            service=service.name,
            state=str(service.state),
            pid=service.pid,
            started=service.started,
            restarts=service.restarts,
            cpu_percent=usage.cpu_percent if usage else None,
            memory_bytes=usage.memory_bytes if usage else None,
            requests_per_second=self._rate(service) if service.pid and _counts(service) else None,
            host=service.machine,
        )

    def _rate(self, service: ObservedService) -> float | None:
        from techsapo_ops.adapters.address import Address, reachable_host

        if service.port is None:
            return None
        address = Address(reachable_host(service.host or "localhost"), service.port)
        try:
            answer = fetch(address.url("/metrics"), timeout=_TIMEOUT, limit=_LIMIT)
        except Unreachable:
            self._counts.pop(service.name, None)
            return None
        now, count = time.monotonic(), request_count(answer.text)
        before = self._counts.get(service.name)
        self._counts[service.name] = (now, count)
        if before is None or count < before[1] or now <= before[0]:  # the first reading, or a restart
            return None
        return (count - before[1]) / (now - before[0])


def _counts(service: ObservedService) -> bool:
    kind = facts().get(service.kind)
    return kind is not None and kind.runs_package


def request_count(metrics: str) -> float:
    """Requests answered so far, from the app's /metrics in Prometheus' text format."""
    return sum(float(value) for value in _SAMPLE.findall(metrics))

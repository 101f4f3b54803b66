"""The readers of the team's own services, as the spec names them, and whether each could read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.gather import Reader
from techsapo_ops.incidents.readers.files import LogFiles
from techsapo_ops.incidents.readers.journald import Journal
from techsapo_ops.incidents.readers.loki import Loki
from techsapo_ops.incidents.readers.prometheus import PrometheusSeries
from techsapo_ops.incidents.readers.runbook import ServiceRunbook
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.investigate import FileLog, InvestigatedService, JournaldLog, Log
from techsapo_ops.spec.user_path import user_path

SECONDS = 3.0
"""For those that only say whether they can be read."""


def watched(services: Sequence[InvestigatedService]) -> Mapping[str, Mapping[str, str]]:
    """By service the labels of its alerts and series."""
    return {service.name: service.match for service in services}


def may_leave(services: Sequence[InvestigatedService]) -> Mapping[str, str]:
    """By service what of its logs may be sent to providers."""
    return {service.name: service.may_leave for service in services}


def service_readers(
    services: Sequence[InvestigatedService], folder: Path, runner: Runner
) -> Iterator[tuple[str, Reader]]:
    """Readers by the name of their source. Relative paths start at `folder`, that of the spec."""
    for service in services:
        if service.prometheus is not None:
            name = msg("Prometheus of {service}", service=service.name)
            yield name, PrometheusSeries(Prometheus(service.prometheus), watched([service]))
        for log in service.logs:
            place, reader = _log(log, service.name, folder, runner)
            yield msg("logs of {service} ({place})", service=service.name, place=place), reader
        if service.runbook is not None:
            name = msg("runbook of {service}", service=service.name)
            yield name, ServiceRunbook(service.runbook, folder)


def accesses(
    services: Sequence[InvestigatedService], folder: Path, runner: Runner
) -> Iterator[tuple[tuple[str | int, ...], Callable[[], None]]]:
    """By the place of each source below `services`, what raises OpsError where it can't be read."""
    for number, service in enumerate(services):
        if service.prometheus is not None:
            yield (number,), _answers(Prometheus(service.prometheus, timeout=SECONDS))
        for place, log in enumerate(service.logs):
            yield (number, "logs", place), _log(log, service.name, folder, runner)[1].readable
        if service.runbook is not None:
            yield (number, "runbook"), ServiceRunbook(service.runbook, folder).readable


def _log(log: Log, service: str, folder: Path, runner: Runner) -> tuple[str, LogFiles | Journal | Loki]:
    if isinstance(log, FileLog):
        return log.path, LogFiles(str(user_path(log.path, folder)), service)
    if isinstance(log, JournaldLog):
        return log.unit, Journal(log.unit, runner, service)
    return log.url, Loki(log.url, log.query, service)


def _answers(server: Prometheus) -> Callable[[], None]:
    def ask() -> None:
        try:
            ready = server.ready()
        except Unreachable as error:
            raise OpsError(error.message) from None
        if not ready:
            raise OpsError(msg("{url} is not ready", url=server.url))

    return ask

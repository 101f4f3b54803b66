"""What an instance of the app reads: Prometheus, logs that it can reach, and what the scheduler left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.jsons import load
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.bundle import MATERIAL_BYTES, material_of
from techsapo_ops.incidents.gather import Reader
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.readers.files import LogFiles, open_log
from techsapo_ops.incidents.readers.loki import Loki
from techsapo_ops.incidents.readers.prometheus import PrometheusSeries
from techsapo_ops.incidents.readers.runbook import OwnRunbooks
from techsapo_ops.messages import msg
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models.investigate import FileLog, Investigate, LokiLog

OLD = timedelta(minutes=5)
"""Since when the scheduler may have left nothing: it does each minute."""


@dataclass(frozen=True, slots=True)
class LeftByScheduler:
    """The own stack as the scheduler saw it: applies, jobs, restarts, logs, health."""

    file: Path

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """What is in the file. Raises OpsError where there is none, or an old one."""
        try:
            with open_log(self.file) as file:
                left = material_of(load(file.read(2 * MATERIAL_BYTES)))
        except (OSError, ValueError) as error:
            raise OpsError(msg("the scheduler's file can't be read: {error}", error=error)) from None
        if left.end < end - OLD:
            raise OpsError(msg("the scheduler left nothing since {time:%H:%M} UTC", time=left.end))
        return replace(
            left,
            subject=subject,
            lines=tuple(line for line in left.lines if start <= line.at <= end),
            changes=tuple(change for change in left.changes if start <= change.at <= end),
        )


def readers_of(
    options: Options, settings: Investigate, prometheus: Prometheus | None
) -> Mapping[str, Reader]:
    """A reader for each source of this instance, by the source's name in the stack's language."""
    language = options.spec.locale
    return {in_language(name, language): reader for name, reader in _readers(options, settings, prometheus)}


def _readers(
    options: Options, settings: Investigate, prometheus: Prometheus | None
) -> Iterator[tuple[str, Reader]]:
    watched = {service.name: service.match for service in settings.services}
    yield msg("runbook"), OwnRunbooks(options.spec.locale, len(options.audit_members))
    if prometheus is not None:
        yield "Prometheus", PrometheusSeries(prometheus, watched)
    if options.evidence is not None:
        yield msg("the stack itself"), LeftByScheduler(options.evidence)
    for service in settings.services:
        if service.prometheus is not None:
            own = PrometheusSeries(Prometheus(service.prometheus), watched)
            yield msg("Prometheus of {service}", service=service.name), own
        for number, log in enumerate(service.logs, 1):
            name = msg("logs of {service} ({number})", service=service.name, number=number)
            if isinstance(log, LokiLog):
                yield name, Loki(log.url, log.query, service.name)
            elif isinstance(log, FileLog):
                yield name, LogFiles(log.path, service.name)

"""What the blackbox exporter's probes found, as Prometheus has it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.messages import msg
from techsapo_ops.services.blackbox.configuration import JOB
from techsapo_ops.stack.health import HealthPart, PartStatus

_ASKED = f'{{job="{JOB}",__name__=~"probe_(success|http_status_code|duration_seconds)"}}'
_LOOK = "`techsapo logs blackbox-exporter`"


def probe_parts(
    server: Prometheus, urls: Mapping[tuple[str, str], str], waiting: Container[str] = ()
) -> Iterator[HealthPart]:
    """A row for each probe that was made; `urls` are what is asked, by name and scope. Raises Unreachable and
    ApiError.

    `waiting` are names of those that this Prometheus has not made yet: for five minutes it still has what
    they found before it was started anew, such as a front that was down with it.
    """
    values: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for sample in server.query(_ASKED):
        labels = sample.labels
        by_asker = values.setdefault((labels["name"], labels.get("scope", "")), {})
        by_asker.setdefault(labels.get("from", ""), {})[labels["__name__"]] = sample.value
    for (name, scope), by_asker in sorted(values.items()):
        # Of several machines that ask, what the one says that has least to say for it.
        asker, found = min(by_asker.items(), key=lambda each: (each[1].get("probe_success") == 1, each[0]))
        status, well = int(found.get("probe_http_status_code", 0)), found.get("probe_success") == 1
        if name in waiting:
            yield HealthPart(f"probe {name}", "probe", PartStatus.STARTING, msg("not probed yet"))
            continue
        # 0 is what it says where nobody answered, and of connections without HTTP.
        if well:
            said = msg("HTTP {status}", status=status) if status else msg("connected")
        else:
            said = (
                msg("HTTP {status}, not as expected", status=status)
                if status
                else _silent(urls.get((name, scope), ""))
            )
            if asker:
                said = msg("from {host}: {said}", host=asker, said=said)
        yield HealthPart(
            name=f"probe {name}",
            kind="probe",
            status=PartStatus.HEALTHY if well else PartStatus.DOWN,
            detail=said,
            seconds=found.get("probe_duration_seconds"),
            hint="" if well else _LOOK,
        )


def _silent(url: str) -> str:
    return msg("no answer, or no valid certificate") if url.startswith("https:") else msg("no answer")

"""What the labels of alerts and series name: services and hosts. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

Watched = Mapping[str, Mapping[str, str]]
"""By service of the team's the labels that its alerts and series carry."""
_SERVICES = ("service", "job", "app", "unit", "name", "container", "target")
_NAMED = ("service", "instance", "name", "job")
"""Labels whose value may be a service of the stack's."""
_HOSTS = ("host", "instance", "node", "nodename", "hostname")
_PORT = re.compile(r":\d{1,5}$")


def services_of(labels: Mapping[str, str], watched: Watched, known: Collection[str] = ()) -> frozenset[str]:
    """The services that labels name: the team's whose labels they are, and those of the stack's. If none of
    these are `known`, `service` or `job` says it: the stack's own alerts may name a topic by `service`.
    """
    values = {name: _bare(labels[name]) for name in _NAMED if labels.get(name)}
    named = {name for name, match in watched.items() if match.items() <= labels.items()}
    named |= set(known) & set(values.values())
    named |= set(() if named or known else [values[n] for n in ("service", "job") if n in values][:1])
    return frozenset(named)


def service_of(labels: Mapping[str, str], wanted: Collection[str]) -> str:
    """The service that a series is of: one of `wanted` if it can be, else the first that is named."""
    values = [labels[name] for name in _SERVICES if labels.get(name)]
    return next((value for value in values if value in wanted), values[0] if values else "")


def hosts_of(labels: Mapping[str, str], services: Collection[str] = ()) -> tuple[str, ...]:
    """The hosts that labels name, of an address or a URL its host; what is one of `services` is none."""
    hosts = (_host(labels[name]) for name in _HOSTS if labels.get(name))
    return tuple(host for host in hosts if host and _bare(host) not in services)


def _bare(name: str) -> str:
    """The service whose exporter, or whose job in the stack's Prometheus, has this name."""
    return name.removesuffix("-exporter").removeprefix("techsapo-")


def _host(value: str) -> str:
    try:
        return (urlsplit(value).hostname or "") if "://" in value else _PORT.sub("", value)
    except ValueError:
        return ""

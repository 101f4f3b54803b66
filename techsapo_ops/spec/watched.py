"""Rules on what is watched: scrapes, probes, alerts, and where traces go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args
from urllib.parse import urlsplit

from techsapo_ops.messages import msg
from techsapo_ops.spec.models import ServiceKind, Spec
from techsapo_ops.spec.models.base import ATTACHED, is_loopback, seconds
from techsapo_ops.spec.problems import Context, Finding, Path, did_you_mean, dotted

BUILT_IN_JOBS = frozenset({"techsapo", "techsapo-probes", "techsapo-episodes", *get_args(ServiceKind)})
"""Names that the generated scrape configuration uses, or may come to use."""
_FRONTS = re.compile(r"nginx|app(-[0-9]+)?")
"""Names of the services in front, as which the stack asks itself."""
_LONGEST_SCRAPE_INTERVAL = 120
"""Seconds; the rules look back 5 minutes, and a rate needs two samples within its window."""
TRACING: Path = ("app", "tracing")
"""Where a spec says what is traced."""
_ENDPOINT = (*TRACING, "endpoint")


def scrape(spec: Spec, _: Context) -> Iterator[Finding]:
    """Extra scrape jobs have names of their own."""
    first: dict[str, int] = {}
    for n, job in enumerate(spec.monitoring.scrape):
        path: Path = ("monitoring", "scrape", n, "name")
        if job.name in BUILT_IN_JOBS:
            yield Finding(
                path,
                msg("the job name {job} is reserved by the stack", job=job.name),
                msg("choose another name"),
            )
        elif job.name in first:
            other: Path = ("monitoring", "scrape", first[job.name], "name")
            yield Finding(
                path,
                msg("the job name {job} is already used by {other}", job=job.name, other=dotted(other[:-1])),
                msg("choose another name"),
                uses=(other,),
            )
        first.setdefault(job.name, n)


def scrape_interval(spec: Spec, _: Context) -> Iterator[Finding]:
    """The rules' windows hold two scrapes."""
    prometheus = spec.monitoring.prometheus
    if prometheus.enabled and seconds(prometheus.scrape_interval) > _LONGEST_SCRAPE_INTERVAL:
        message = msg(
            "{scrape_interval} is too long for rules that read the last 5 minutes",
            scrape_interval=prometheus.scrape_interval,
        )
        yield Finding(("monitoring", "prometheus", "scrape_interval"), message, msg("write 2m or less"))


def probes(spec: Spec, _: Context) -> Iterator[Finding]:
    """Probes have names of their own, and say of a connection nothing that only a page has."""
    first: dict[str, int] = {}
    for n, probe in enumerate(spec.monitoring.probes):
        path: Path = ("monitoring", "probes", n)
        if _FRONTS.fullmatch(probe.name):
            message = msg("the probe name {probe} is reserved by the stack", probe=probe.name)
            yield Finding((*path, "name"), message, msg("choose another name"))
        elif probe.name in first:
            other: Path = ("monitoring", "probes", first[probe.name], "name")
            message = msg(
                "the probe name {probe} is already used by {other}",
                probe=probe.name,
                other=dotted(other[:-1]),
            )
            yield Finding((*path, "name"), message, msg("choose another name"), uses=(other,))
        first.setdefault(probe.name, n)
        scheme, uses = probe.url.partition(":")[0], ((*path, "url"),)
        if probe.status and scheme in {"tcp", "tls"}:
            yield Finding(
                (*path, "status"),
                msg("a tcp:// or tls:// probe has no status"),
                msg("use https:// or http://"),
                uses,
            )
        if probe.ca_file is not None and scheme in {"tcp", "http"}:
            yield Finding(
                (*path, "ca_file"),
                msg("a tcp:// or http:// target presents no certificate"),
                msg("use https:// or tls://"),
                uses,
            )


def alerts(spec: Spec, _: Context) -> Iterator[Finding]:
    """Changed alerts exist, and have the threshold, minimum or window that is changed."""
    if not spec.monitoring.alerts:
        return
    from techsapo_ops.catalogue.alerts import (
        alerts as known_alerts,
    )  # a catalogue file that most commands don't need

    known = known_alerts()
    for name, settings in spec.monitoring.alerts.items():
        path: Path = ("monitoring", "alerts", name)
        if name not in known:
            yield Finding(path, msg("there is no alert {name}", name=name), did_you_mean(name, known))
            continue
        alert = known[name]
        own = {
            "threshold": alert.has_threshold,
            "minimum": alert.minimum is not None,
            "window": alert.window is not None,
        }
        for field, there in own.items():
            if getattr(settings, field) is not None and not there:
                yield Finding(
                    (*path, field),
                    msg("alert {name} has no {field}", name=name, field=field),
                    msg("remove this key; every alert takes `enabled`, `for` and `keep_firing_for`"),
                )
        if settings.window is not None and known[name].window is not None:
            yield from _window(spec, (*path, "window"), settings.window)


def _window(spec: Spec, path: Path, window: str) -> Iterator[Finding]:
    interval: Path = ("monitoring", "prometheus", "scrape_interval")
    scrape = spec.monitoring.prometheus.scrape_interval
    if seconds(window) < 2 * seconds(scrape):
        hint = msg("use a longer window, or a shorter scrape_interval")
        yield Finding(
            path,
            msg(
                "{window} is too short: a scrape runs every {scrape}, and two are needed",
                window=window,
                scrape=scrape,
            ),
            hint,
            (interval,),
        )


def is_of_this_host(spec: Spec) -> bool:
    """Whether traces go to an address that each host, and each container, has for itself."""
    settings = spec.app.tracing
    return settings is not None and is_loopback(urlsplit(settings.endpoint).hostname or "")


def tracing(spec: Spec, _: Context) -> Iterator[Finding]:
    """A collector has an address without a query, and keys for it go by https, else they can be read."""
    settings = spec.app.tracing
    if settings is None:
        return
    try:
        address = urlsplit(settings.endpoint)
        host, port = address.hostname or "", address.port
    except ValueError as error:
        yield Finding(
            _ENDPOINT, msg("is not an address: {error}", error=error), msg("e.g. http://127.0.0.1:4318")
        )
        return
    if address.query or address.fragment or address.username is not None or not host or port == 0:
        yield Finding(
            _ENDPOINT,
            msg("must be a host with an optional port and path, without a login or a query"),
            msg("put keys into app.tracing.headers"),
        )
    if settings.headers and address.scheme == "http" and not is_loopback(host):
        yield Finding(
            _ENDPOINT,
            msg("the headers go to {host} over plain http and can be read in transit", host=host),
            msg("use https, or a collector on this host that forwards the traces"),
            uses=((*TRACING, "headers"),),
            warning=True,
        )
    if ATTACHED in settings.trusted_networks:
        yield Finding(
            (*TRACING, "trusted_networks"),
            msg("`{attached}` is not allowed in trusted_networks", attached=ATTACHED),
            msg("write the network itself, e.g. 10.1.2.0/24"),
        )

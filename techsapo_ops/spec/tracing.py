"""Rules on where traces go."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from techsapo_ops.messages import msg
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import ATTACHED, is_loopback
from techsapo_ops.spec.problems import Path

TRACING: Path = ("app", "tracing")
"""Where a spec says what is traced."""
_ENDPOINT = (*TRACING, "endpoint")


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
            _ENDPOINT, msg("is no address: {error}", error=error), msg("e.g. http://127.0.0.1:4318")
        )
        return
    if address.query or address.fragment or address.username is not None or not host or port == 0:
        yield Finding(
            _ENDPOINT,
            msg("must be an address without a login, with a path at most"),
            msg("keys belong into app.tracing.headers"),
        )
    if settings.headers and address.scheme == "http" and not is_loopback(host):
        yield Finding(
            _ENDPOINT,
            msg("the headers go to {host} by plain http, and can be read on the way", host=host),
            msg("use https, or a collector on this host that sends them on"),
            uses=((*TRACING, "headers"),),
            warning=True,
        )
    if ATTACHED in settings.trusted_networks:
        yield Finding(
            (*TRACING, "trusted_networks"),
            msg("`{attached}` is no network whose traces can be continued", attached=ATTACHED),
            msg("write the network itself, e.g. 10.1.2.0/24"),
        )

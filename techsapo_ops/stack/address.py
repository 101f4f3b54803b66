"""Addresses: from where they are looked at, and where people open the app's pages from outside."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from techsapo_ops.adapters.address import Address

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec


class Viewpoint(StrEnum):
    """From where an address is looked at."""

    HOST = "host"
    """From a process of this host, such as the CLI."""
    SERVICE = "service"
    """From another service of the stack."""
    WITHIN = "within"
    """From where the service itself runs: see Access.enter."""
    OUTSIDE = "outside"
    """From a user's browser."""


def is_local(host: str) -> bool:
    """Whether a browser of this host reaches `host` by the name localhost."""
    return host in {"127.0.0.1", "0.0.0.0", "::", "::1", "localhost"}  # noqa: S104 - compared, not bound


def listen_host(host: str) -> str:
    """The address to bind for a spec's `host`: `localhost` is made one address, not two."""
    return "127.0.0.1" if host == "localhost" else host


SETTING = "app.public_url"
"""Where a spec says it."""
_USUAL = {"http": 80, "https": 443}


def page_url(spec: Spec, path: str) -> str:
    """URL of the page `path`, which begins with a slash, as somebody elsewhere opens it.

    What `app.public_url` says; without it by nginx, where the stack has one, under its own or its
    certificate's name, else under the address that moves between several hosts, or that it or the app listens
    on.
    """
    return _site(spec) + path


def leads_here_alone(spec: Spec) -> bool:
    """Whether a link in a message opens on this host alone, since nothing names another address."""
    return spec.app.public_url is None and is_local(_own_host(spec)) and not any(_names(spec))


def _site(spec: Spec) -> str:
    if spec.app.public_url is not None:
        return spec.app.public_url
    name = next(_names(spec), None)
    own = _own_host(spec)
    address = Address(name or ("localhost" if is_local(own) else own), _port(spec))
    scheme = "https" if spec.runs_nginx and spec.served_certificate is not None else "http"
    return f"{scheme}://{address}".removesuffix(f":{_USUAL[scheme]}")


def _names(spec: Spec) -> Iterator[str]:
    """The names by which nginx is reached; one with a wildcard is none."""
    if not spec.runs_nginx:
        return
    served = spec.served_certificate
    names = (spec.nginx.server_name or "", *(spec.certificates[served].names if served is not None else ()))
    yield from (name.lower() for name in names if name and not name.startswith("*"))


def _own_host(spec: Spec) -> str:
    if spec.floating_address is not None:
        return spec.floating_address.partition("/")[0]
    return spec.nginx.host if spec.runs_nginx else spec.app.host


def _port(spec: Spec) -> int:
    if not spec.runs_nginx:
        return spec.app.resolved_instances[0].port
    return spec.nginx.tls_listen if spec.served_certificate is not None else spec.nginx.listen

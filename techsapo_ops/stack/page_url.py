"""Where people open the app's pages from outside: what links in messages, rules and dashboards name."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.adapters.address import Address
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.address import is_local

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

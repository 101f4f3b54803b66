"""The pages of a stack: which there are, and where somebody opens each."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.report import service_url
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.page_url import page_url
from techsapo_ops.stack.stack import Stack

_OWN = {"ask": "/", "status": "/status", "dashboards": "/dashboards", "docs": "/docs"}
"""Pages of the app."""
FIRST = "ask"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: `url` as somebody opens it, `port` of this host that it is behind."""

    name: str
    url: str
    port: int


def page_names() -> tuple[str, ...]:
    """Every name that a page may have."""
    return (*_OWN, *(kind.name for kind in kinds() if kind.has_pages))


def pages(stack: Stack) -> dict[str, Page]:
    """Every page by its name. Those that nobody outside the stack reaches are left out."""
    spec, topology = stack.spec, stack.topology
    front = spec.nginx.listen if spec.runs_nginx else spec.app.resolved_instances[0].port
    if spec.runs_nginx and spec.served_certificate is not None:
        front = spec.nginx.tls_listen
    found = {name: Page(name, page_url(spec, path), front) for name, path in _OWN.items()}
    for service in topology.services:
        if kind_of(service).has_pages and (url := service_url(topology, service)):
            found[service.name] = Page(service.name, url, service.port)
    return found


def find_page(stack: Stack, name: str) -> Page:
    """The page of that name. Raises OpsError where there is none."""
    known = pages(stack)
    if name not in known:
        raise unknown(msg("page"), name, known)
    return known[name]

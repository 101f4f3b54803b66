"""Addresses, and from where they are looked at."""

from __future__ import annotations

from enum import StrEnum


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

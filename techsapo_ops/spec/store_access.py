"""How servers are reached within a stack: which speak TLS, the login at Redis, addresses that are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from techsapo_ops.adapters.address import Address
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec

_OF = {"sentinel": "redis"}
SHARED = "redis"
"""That of what instances share."""
AUDIT = "mysql"
"""That of the audit database."""
SENTINEL = "sentinel"
"""The servers that know which of several Redis is the master."""


def certificate_of(kind: str) -> str:
    """The kind whose certificate a server of `kind` shows: its own, or that of what it stands beside."""
    return _OF.get(kind, kind)


def speaks_tls(spec: Spec, kind: str) -> bool:
    """Whether the spec's section for a kind of service says `tls: true`; for one without such a field, no."""
    return getattr(getattr(spec, certificate_of(kind), None), "tls", False) is True


RedisLogin = Literal["given", "made", "none"]
GIVEN: RedisLogin = "given"
"""By the password that the spec has."""
MADE: RedisLogin = "made"
"""By accounts whose passwords the tool makes."""
NONE: RedisLogin = "none"
"""Not at all: whoever reaches it may do everything."""


def redis_login(spec: Spec) -> RedisLogin:
    """How clients log in."""
    if spec.redis.password is not None:
        return GIVEN
    return MADE if spec.redis.accounts is not False else NONE


STORES = (SHARED, AUDIT)
"""Sections of the spec, each of a server in which the app keeps something."""


def seen_from_here(spec: Spec, addresses: Mapping[str, str]) -> Spec:
    """`spec` with the `addresses` (HOST:PORT by store) that a process has for them, where it is told any.

    The spec says where they listen or are published on the host, which is another place from inside a
    container. Raises OpsError for another kind of text.
    """
    changes: dict[str, Any] = {}
    for store, address in addresses.items():
        if (section := getattr(spec, store)) is not None:
            changes[store] = section.model_copy(update=_address(address))
    return spec.model_copy(update=changes) if changes else spec


def first_and_others(text: str) -> tuple[str, tuple[Address, ...]]:
    """The first HOST:PORT of those that `text` has between commas, and the others.

    Raises OpsError for others of another kind; the first one is as it was written.
    """
    first, *others = text.split(",")
    return first, tuple(Address(**_address(other)) for other in others)


def every(text: str) -> tuple[Address, ...]:
    """Each HOST:PORT of those that `text` has between commas. Raises OpsError for another kind of text."""
    return tuple(Address(**_address(each)) for each in text.split(","))


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise OpsError(msg("{text} is not HOST:PORT", text=repr(text)), exit_code=2)
    return {"host": host, "port": int(port)}

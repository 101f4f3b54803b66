"""What a process of the app is told of the stores of its stack, since it runs where they are elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.address import Address
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CA certificate of each store that speaks TLS."""

    redis: Path | None = None
    mysql: Path | None = None


STORES = tuple(each.name for each in fields(Authorities))
"""Sections of the spec, each of a server in which the app keeps something."""
AUDIT = "mysql"
"""That of the audit database."""
SENTINEL = "sentinel"
"""The servers that know which of several Redis is the master."""


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

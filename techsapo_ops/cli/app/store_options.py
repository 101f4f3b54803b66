"""Options that tell a process of the app where the stores are, and whose certificate Redis shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from techsapo_ops.adapters.address import Address
from techsapo_ops.cli.typer_base import Bundle
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.store_access import (
    AUDIT,
    SENTINEL,
    SHARED,
    STORES,
    every,
    first_and_others,
    seen_from_here,
    speaks_tls,
)
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.own_tls import ca_file

_SHARED_CA = f"{SHARED}_ca"


class StoreAddresses:
    """Where the stores are: `redis` is HOST:PORT of Redis, `redis_ca` the CA certificate of a Redis
    with TLS.

    For a cluster: HOST:PORT of each member, between commas, the nearest one first.
    """

    def __init__(self, **options: Any) -> None:
        parsed = {name: first_and_others(text) for name in STORES if (text := options[name]) is not None}
        self._addresses: dict[str, str] = {name: first for name, (first, _) in parsed.items()}
        self._others: dict[str, tuple[Address, ...]] = {name: others for name, (_, others) in parsed.items()}
        sentinels = options.get(SENTINEL)
        self.sentinels = every(sentinels) if sentinels is not None else ()
        """Those of several Redis; none where there is one."""
        self._shared_ca: Path | None = options[_SHARED_CA]

    def spec(self, spec: Spec) -> Spec:
        """`spec` as this process sees the stores. Raises OpsError for what is no address."""
        return seen_from_here(spec, self._addresses)

    @property
    def audit_members(self) -> tuple[Address, ...]:
        """The further members of the audit database, where it is a cluster."""
        return self._others.get(AUDIT, ())

    def shared_ca(self, spec: Spec, layout: Layout) -> Path | None:
        """The CA certificate of a shared store that speaks TLS; the stack's own where none was given."""
        return self._shared_ca or (ca_file(layout, SHARED) if speaks_tls(spec, SHARED) else None)


def _options() -> dict[str, tuple[Any, Any]]:
    options: dict[str, tuple[Any, Any]] = {}
    for store in STORES:
        where = f"HOST:PORT of {store}, as this process sees it."
        options[store] = (Annotated[str | None, typer.Option(f"--{store}", hidden=True, help=where)], None)
    whose = f"CA certificate of a {SHARED} that speaks TLS."
    option = typer.Option(f"--{SHARED}-ca", hidden=True, help=whose)
    options[_SHARED_CA] = (Annotated[Path | None, option], None)
    where = "HOST:PORT of each server that knows the master, between commas, the nearest one first."
    options[SENTINEL] = (Annotated[str | None, typer.Option(f"--{SENTINEL}", hidden=True, help=where)], None)
    return options


StoreOptions = Annotated[StoreAddresses, Bundle(_options())]
"""The hidden options by which a stack gives a process its stores."""

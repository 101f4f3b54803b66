"""How an instance does, and what it depends on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.serve.bodies.base import Body, Number
from techsapo_ops.stores.audit.log import AuditInUse
from techsapo_ops.stores.cache import CacheInUse


class AliveBody(Body):
    """Whether this process can do its work at all."""

    status: Literal["ok", "down"]
    instance: str
    version: str
    build: Annotated[str, Field(description="Version and digests of the code that this process runs.")]
    detail: str | None = None


class CacheHealthBody(Body):
    status: Literal["healthy", "degraded"]
    in_use: CacheInUse
    detail: str
    consecutive_errors: int


class AuditHealthBody(Body):
    status: Literal["healthy", "degraded"]
    in_use: AuditInUse
    detail: str
    consecutive_errors: int
    waiting: Annotated[int, Field(description="Rows in memory.")]
    spooled: Annotated[int, Field(description="Rows on disk.")]


class PriceBody(Body):
    """USD per million tokens, and the source of the price."""

    input: Number
    output: Number
    source: str
    known: bool


class BreakerBody(Body):
    state: str
    failures: int


class ProviderHealthBody(Body):
    """A provider in use, or why it is not (`unavailable`).

    down: nothing is expected of it until it answers again; open: down, and left alone by its circuit breaker
    after failures in a row.
    """

    status: Literal["available", "open", "down", "unavailable"]
    kind: str | None = None
    model: str | None = None
    price: PriceBody | None = None
    breaker: BreakerBody | None = None
    detail: str | None = None
    cause: Annotated[
        str | None, Field(description="Why a provider is down: key, money, model, unreachable …")
    ] = None
    what_to_do: str | None = None
    next_try_seconds: Annotated[
        int | None,
        Field(description="Seconds until the provider is asked again; 0: the next question asks it."),
    ] = None


class DependenciesBody(Body):
    cache: CacheHealthBody
    audit: AuditHealthBody
    providers: dict[str, ProviderHealthBody]


class HealthBody(Body):
    """Every dependency. degraded: answers still work, without some part; down: the status is 503."""

    status: Literal["healthy", "degraded", "down"]
    instance: str
    version: str
    build: str
    draining: bool
    simulated: bool
    dependencies: DependenciesBody

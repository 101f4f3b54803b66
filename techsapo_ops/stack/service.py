"""One service of a stack, resolved."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.stack.facts import ServiceFacts


@dataclass(frozen=True, slots=True)
class Service:
    """One service that runs: `app-2` is of kind `app`."""

    name: str
    kind: str
    host: str
    """Address it listens on, or is published on."""
    port: int
    """Port on the host."""
    facts: ServiceFacts
    binary: str | None = None
    user: str | None = None
    """System user it runs as; None: the user of the tool."""
    weight: int = 1
    backup: bool = False
    needs: tuple[str, ...] = ()
    """Names of the services that must be ready first."""

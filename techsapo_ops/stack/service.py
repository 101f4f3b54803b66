"""One service of a stack, resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.stack.machine import HERE, Machine  # by which a snapshot is read back
from techsapo_ops.stack.service_facts import ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.secret import Secret


@dataclass(frozen=True, slots=True)
class Login:
    """What a service is asked with: `password_file` holds the password where the tool made one.

    `greeting` is what the service says to whoever shows none, and by which it can be told that it is up.
    """

    user: str | None = None
    password: Secret | None = None
    password_file: Path | None = None
    greeting: str = ""


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
    machine: Machine = HERE
    """Where it runs."""

    @property
    def instance(self) -> str:
        """Its name without its machine's: what it shares with the same one on the others."""
        return self.name.removesuffix(self.machine.named(""))

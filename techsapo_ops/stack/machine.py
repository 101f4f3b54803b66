"""One machine of several that a stack runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec

ON = "on-"
"""How folders begin whose files one machine reads: no name of a machine is a name that another folder has."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A host of the spec: `name` is its own host name, `address` what the others reach it by.

    `docker` leads to its Docker daemon, as the docker client takes it with `--host`.
    """

    name: str
    address: str
    docker: str

    @property
    def own_folder(self) -> str:
        """Name of the folder, of a kind's rendered files, that its service on this machine alone reads."""
        return f"{ON}{self.name}"


def machines_of(spec: Spec) -> tuple[Machine, ...]:
    """The machines of a spec, in its order; none for a stack of one host."""
    return tuple(Machine(name, host.address, host.docker) for name, host in spec.hosts.items())

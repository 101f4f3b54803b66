"""One machine of several that a stack runs on; HERE stands for the only one of a stack on one host."""

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

    `docker` leads to its Docker daemon, as the docker client takes it with `--host`. HERE has none of these:
    nothing is called after the only machine, and nothing of it has to be told from that of another one.
    """

    name: str
    address: str
    docker: str

    @property
    def own_folder(self) -> str:
        """Name of the folder, of a kind's rendered files, that its service on this machine alone reads."""
        return f"{ON}{self.name}" if self.name else ""

    def named(self, name: str, by: str = "-") -> str:
        """`name` as it is called on this machine."""
        return f"{name}{by}{self.name}" if self.name else name

    def labelled(self, key: str, value: str) -> dict[str, str]:
        """What tells something of this machine from the same of the others: `value` under `key`."""
        return {key: value} if self.name else {}

    def reached(self, host: str) -> str:
        """Where a service is reached that the spec has at `host`."""
        return self.address or host


HERE = Machine("", "", "")
"""Where a stack of one host runs."""


def machines_of(spec: Spec) -> tuple[Machine, ...]:
    """The machines of a spec, in its order; none for a stack of one host."""
    return tuple(Machine(name, host.address, host.docker) for name, host in spec.hosts.items())

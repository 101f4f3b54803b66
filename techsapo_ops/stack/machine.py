"""One machine of several that a stack runs on; HERE stands for the only one of a stack on one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

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

    def named(self, name: str, by: str = "-") -> str:
        """`name` as it is called on this machine."""
        return f"{name}{by}{self.name}"

    def labelled(self, key: str, value: str) -> dict[str, str]:
        """What tells something of this machine from the same of the others: `value` under `key`."""
        return {key: value}

    def reached(self, host: str) -> str:  # noqa: ARG002 - by its own address
        """Where a service is reached that the spec has at `host`."""
        return self.address


class _Here(Machine):
    """There is no other one: nothing is called after it, and nothing has to be told apart."""

    __slots__ = ()

    @property
    @override
    def own_folder(self) -> str:
        return ""

    @override
    def named(self, name: str, by: str = "-") -> str:
        return name

    @override
    def labelled(self, key: str, value: str) -> dict[str, str]:
        return {}

    @override
    def reached(self, host: str) -> str:
        return host


HERE: Machine = _Here("", "", "")
"""Where a stack of one host runs."""


def read_machine(value: Mapping[str, str]) -> Machine:
    """The machine whose fields were recorded."""
    found = Machine(**value)
    return found if found.name else HERE


def machines_of(spec: Spec) -> tuple[Machine, ...]:
    """The machines of a spec, in its order; none for a stack of one host."""
    return tuple(Machine(name, host.address, host.docker) for name, host in spec.hosts.items())

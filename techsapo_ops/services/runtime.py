"""What an engine does of a kind while it runs it, beyond its program or container; this touches the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.diagnosis import HostFinding
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import Probe
from techsapo_ops.stack.topology import Topology

SCRATCH = "/scratch"
"""Where a throwaway container has the folder that it shares with the host."""


@dataclass(frozen=True, slots=True)
class ThrowawayProgram:
    """A throwaway server as a process: how it is started and asked, and its administrator."""

    argv: tuple[str, ...]
    probe: Probe
    user: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class ThrowawayContainer:
    """A throwaway server in a container: `ready` is asked in it, `blocks` it reads at these places."""

    argv: tuple[str, ...]
    ready: Command
    user: str | None = None
    password: Secret | None = None
    environment: tuple[str, ...] = ()
    blocks: tuple[tuple[Path, str], ...] = ()
    memory_folder: str = ""
    """A folder that is kept in memory, and in which it works."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a throwaway process is to live: its folder, its port, and the stack that it is a copy of."""

    folder: Path
    port: int
    topology: Topology
    runner: Runner


@dataclass(frozen=True, slots=True)
class Settling:
    """A command that runs as root in a container that has just become ready, and what its failure means."""

    command: Command
    trouble: str
    hint: str
    passes: tuple[str, ...] = ()
    """Words in its output after which it is tried again: what keeps it may pass."""


class Runtime:
    """The defaults, which are right for most kinds."""

    throwaway_program: Callable[[Service, Place], ThrowawayProgram] | None = None
    throwaway_container: Callable[[Service, Path], ThrowawayContainer] | None = None

    def question(self, topology: Topology) -> Command | None:  # noqa: ARG002 - most have no login
        """What asks it with the login that the app has, in its container; None: its image's health check."""
        return None

    def readable(self, topology: Topology) -> Iterable[Path]:  # noqa: ARG002 - most read none
        """Files, made by the tool, that the user of its container reads besides its made secrets."""
        return ()

    def make_keys(self, topology: Topology) -> None:
        """Make the secrets that it is given, where the spec has none. Raises OpsError."""

    def prepare(self, topology: Topology, runner: Runner) -> None:  # noqa: ARG002 - most run nothing
        """Make what its processes need besides their folder. Raises OpsError."""
        self.make_keys(topology)

    def before_steps(self, topology: Topology, door: Door | None) -> None:
        """Before any service is changed: make what its login needs. Raises OpsError.

        `door` leads to where it runs now; None where it does not.
        """

    def hand_over(
        self,
        topology: Topology,  # noqa: ARG002 - of most none leads
        service: Service,  # noqa: ARG002
        doors: Callable[[Service], Door | None],  # noqa: ARG002
    ) -> str:
        """Let another machine's take over, where `service` is about to be stopped and leads the others.

        `doors` lead to where services run now. Returns why it could not, "" where nothing is left to hand
        over; whoever calls decides whether it is stopped all the same. Raises nothing for what fails.
        """
        return ""

    def forget_members(
        self, topology: Topology, service: Service, doors: Callable[[Service], Door | None]
    ) -> None:
        """Let `service` forget those of its cluster that are on none of the machines. Raises OpsError."""

    def give_up(
        self,
        topology: Topology,  # noqa: ARG002 - most wait for nobody
        machine: str,  # noqa: ARG002
        doors: Callable[[Service], Door | None],  # noqa: ARG002
    ) -> str:
        """An operator's word that what is on `machine` is gone for good, for those that wait for it.

        What they say; empty where none waits. Raises nothing for one that does not answer.
        """
        return ""

    def settling(self, topology: Topology) -> Settling | None:  # noqa: ARG002 - most need nothing
        """What has to be done in its container once that is ready. Raises OpsError."""
        return None

    def diagnosis(self, topology: Topology) -> Iterable[HostFinding]:  # noqa: ARG002 - most have nothing to say
        """What doctor is to tell of its services that run."""
        return ()


_DEFAULT = Runtime()


def runtime_of(kind: Service | str) -> Runtime:
    """What an engine has to do of a service or of a kind: RUNTIME of the module `runtime` beside the kind,
    else the defaults.
    """
    module = kind_of(kind).beside("runtime")
    runtime: Runtime = module.RUNTIME if module is not None else _DEFAULT
    return runtime


def throwaway_kinds() -> tuple[str, ...]:
    """The kinds of which there can be a throwaway copy."""
    return tuple(kind.name for kind in kinds() if runtime_of(kind.name).throwaway_program is not None)

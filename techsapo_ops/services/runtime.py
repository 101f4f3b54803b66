"""What is done with the services of a kind beyond their program or container; this touches the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.loaded_configuration import Loaded
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.health import HealthPart, HostFinding, Role
from techsapo_ops.stack.service import Probe, Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

SHELL = "sh"
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


@dataclass(frozen=True, slots=True)
class Call:
    """A program to start at somebody's terminal.

    `by_service` says that it is a process of this host with the rights of the service: it must not inherit
    what whoever starts it has in the environment.
    """

    command: Command
    by_service: bool = False


class Runtime:
    """The defaults, which are right for most kinds."""

    throwaway_program: Callable[[Service, Place], ThrowawayProgram] | None = None
    throwaway_container: Callable[[Service, Path], ThrowawayContainer] | None = None
    health_parts: Callable[[Topology, Service, float], tuple[HealthPart, ...]] | None = None
    """What more than its probe says how it is, asked from this host within so many seconds."""
    loaded: Loaded | None = None
    """How it is asked what it has loaded; None for one that can't tell."""
    client: tuple[str, ...] = (SHELL,)
    """What `techsapo exec` starts where nothing else was asked for."""

    def call(self, stack: Stack, service: Service, words: Sequence[str], *, terminal: bool) -> Call:
        """What starts `words` at somebody's terminal, as the user of the service where they need no login.

        Raises OpsError where that is not possible, or a login can't be read.
        """
        return entered(stack, service, Command(tuple(words), terminal=terminal))

    def role_question(self, topology: Topology, service: Service) -> Command | None:  # noqa: ARG002 - most have none
        """What asks it, in its container, for its place among those of its kind on the other machines."""
        return None

    def role(self, topology: Topology, said: str) -> Role:  # noqa: ARG002 - likewise
        """What its answer to that says."""
        return Role()

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


def before_steps(desired: Desired, doors: Callable[[Service], Door | None]) -> None:
    """Let each kind make what its login needs. `doors` lead to where services run now. Raises OpsError."""
    for service in desired.topology.services:
        runtime_of(service).before_steps(desired.topology, doors(service))


def no_throwaway(kind: str) -> OpsError:
    """The error for a kind of which there can be no throwaway copy; it names those of which there can."""
    there = (each.name for each in kinds() if runtime_of(each.name).throwaway_program is not None)
    return OpsError(
        msg("there is no throwaway server of the kind {kind}", kind=kind),
        msg("available throwaway servers: {throwaway_kinds}", throwaway_kinds=", ".join(there)),
    )


def entered(stack: Stack, service: Service, command: Command) -> Call:
    """The call that runs `command` where `service` runs, as its user."""
    access = stack.engine
    return Call(access.enter(service.name, command), by_service=not access.enters_as_root)


def logged_in(stack: Stack, service: Service, command: Command) -> Call:
    """The call of a client whose environment holds a password.

    Whoever may read the memory of its process reads that too: the service's own user as well, if it ran as
    that. So in a container it runs as root, and on this host as whoever called.
    """
    access = stack.engine
    if access.enters_as_root:
        return Call(access.enter(service.name, command, root=True))
    return Call(replace(command, cwd=stack.directory))

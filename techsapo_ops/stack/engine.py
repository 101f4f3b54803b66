"""The words that every engine understands, and its two protocols: Running and Access."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from techsapo_ops.adapters.held import is_free, listeners, port_holder
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.observed import LogLine, Observed

if TYPE_CHECKING:  # `techsapo ps` needs these words, but nothing of the spec
    from techsapo_ops.adapters.address import Address
    from techsapo_ops.adapters.probe import ProbeResult
    from techsapo_ops.adapters.process import Command, Completed
    from techsapo_ops.spec.secret import Secret
    from techsapo_ops.stack.desired import Desired
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.step import Plan, Step


class GateError(OpsError):
    """A service did not become ready. `probe` is what its probe said, `lines` the end of its log."""

    def __init__(self, service: str, probe: str, lines: tuple[str, ...], message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.service = service
        self.probe = probe
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What runs of one service is not what was wanted.

    `what` says so in words, with both values where they may be shown. `restart` says that the service has
    to be started anew to fix it, since a reload would not. `answered` is False where the service could
    not be asked at all, which is no proof of either. `service` is empty for what is no service of the stack.
    """

    service: str
    what: str
    restart: bool = False
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Scratch:
    """A throwaway instance of a service, reachable at `address`, with its data below `directory`.

    `user` and `password` are those of its administrator, where it has one. `run` runs a command where it
    can be reached: in its own container, where `directory` is /scratch, or natively on this host.
    """

    address: Address
    directory: Path
    user: str | None = None
    password: Secret | None = None
    run: Callable[[Command], Completed] | None = None
    enter: Callable[[Command], Command] | None = None
    """The call that runs a command there, for one that is read or fed while it runs."""
    container: str = ""
    """Name of its container, where it has one; `address` is then that container's own loopback."""
    by_hand: Callable[[Command], str] | None = None
    """The line that a person types to run a command there; None where `address` is this host's."""


class Recorded(Protocol):
    """What can be done to a stack with its state directory alone, while its spec is broken or gone.

    Every method may raise OpsError.
    """

    name: str
    """The engine that brought it up; to be told and recorded, never to be compared."""
    layout: Layout
    """Its directories."""

    @property
    def gone(self) -> str:
        """What is said where nothing of it runs any more: `no container of this stack runs`."""
        ...

    @property
    def data_place(self) -> str:
        """Where its data is, in words: `below /srv/techsapo/.techsapo/data`."""
        ...

    def observe(self, *, measure: bool = False) -> Observed:
        """What exists now. `measure` adds what each service uses, which may take a second."""
        ...

    def away(self) -> Mapping[str, str]:
        """The machines that can't be reached now, and why; this host is none of them."""
        return {}

    def log_names(self, services: Sequence[str]) -> list[str]:
        """Names with a log, for names or kinds (all: empty). Raises OpsError for one that has none."""
        ...

    def logs(
        self,
        services: Sequence[str],
        *,
        follow: bool = False,
        lines: int | None = 100,
        since: datetime | None = None,
    ) -> Iterator[LogLine]:
        """Lines of the services' logs (all: empty), merged by time, oldest first."""
        ...

    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        """Stop every service after those that need it, then the engine itself; returns the names stopped.

        With `remove_data` the data, and the keys that were made for it, are deleted.
        """
        ...


class Running(Recorded, Protocol):
    """Brings a stack up and watches over it: observe, plan, perform, conclude, prove, logs, stop.

    Every method may raise OpsError.
    """

    at_once: int
    """How many services it can be told to start at the same time."""

    def plan(self, desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
        """Steps from `observed` to `desired`; a pure computation. `only` limits it to some services.

        By what was noted when each service was started; `operations.apply.plan` adds what else is known.
        """
        ...

    def prepare(self, desired: Desired) -> None:
        """Make what services need before any can start: directories, keys, images, the supervisor.

        The files of `desired` are written already.
        """
        ...

    def in_turn(self, names: Sequence[str]) -> tuple[str, ...]:
        """Services of one kind in the order in which users notice least if each is stopped after another.

        As given, where the engine knows of none that is better.
        """
        return tuple(names)

    def perform(
        self, step: Step, desired: Desired | None, say: Callable[[str], None], together: Sequence[Step] = ()
    ) -> None:
        """Do one step; returns once the service is ready, raises GateError when it does not become so.

        A step that does nothing still sees to it that the service is ready. Without `desired`, a restart or
        a reload is of the service as it was started last. `together` are the steps that are performed at the
        same time, this one among them: what they would get in each other's way with is done once.
        """
        ...

    def conclude(self, desired: Desired) -> None:  # noqa: ARG002 - on one host nothing waits
        """Do what had to wait until every service runs as wanted, such as removing what none of them reads.

        Nothing, where all of it is done already.
        """
        return

    def prove(
        self, desired: Desired, services: Sequence[str], wait: float = 0.0, *, strangers: bool = False
    ) -> tuple[Mismatch, ...]:
        """How what *runs* of `services` differs from `desired`, at most one each, in their order.

        None: the proof that it was applied. Looked at from outside, never taken from the engine's own notes:
        natively the arguments and the user of each process, with Compose the config hash label, the image and
        the project of each container, and of Prometheus, Alertmanager and nginx also the configuration that
        they say they have loaded. A reload is given `wait` seconds to show. A service that is not there is a
        mismatch too. `strangers` adds what runs of the stack without being one of its services.
        """
        ...

    def begin_back(self) -> Mapping[str, str]:
        """Look who can go back to an earlier apply, before anything of it is touched; by machine why not.

        What is prepared after that leaves those machines out. None, where there is this host alone. Raises
        OpsError where nobody can go back now.
        """
        return {}

    def announce(self) -> None:
        """Note in the state directory where the stack is to run, before anybody takes its lock.

        Nothing, where that is this host alone. Raises OpsError.
        """
        return

    def forget(self) -> None:
        """Look anew the next time at what exists, where that is remembered for a moment."""
        return

    def brought_up(self) -> None:
        """Note that all of the stack runs where this engine has it: where else it ran, nobody asks any more.

        Raises OpsError.
        """
        self.layout.machines_note.unlink(missing_ok=True)

    def share(self) -> None:
        """Let every machine have the state directory as it is now: who finds this host lost goes on from it.

        Nothing, where there is this host alone. Raises OpsError.
        """
        return

    def keep_aside(self, folder: Path) -> Mapping[str, str]:  # noqa: ARG002 - of one host nobody else
        """Let every machine keep a copy of a backup's folder, in place of the last one; by machine why not.

        Nothing, where there is this host alone.
        """
        return {}

    def fetch_aside(self, name: str, into: Path) -> bool:  # noqa: ARG002 - likewise
        """Bring the copy `name` that machines keep into the folder `into`; False where none has it."""
        return False

    def forget_aside(self) -> None:
        """Let no machine keep a copy any more."""
        return

    def deliver(self) -> Mapping[str, str]:
        """Bring certificates and keys of the state directory to where services of other machines read them.

        Nothing, where all of them read them here. Returns why machines were passed over that lack it.
        """
        return {}

    def taken_by(self, host: str, port: int) -> str:
        """Who listens on a port that none of the stack's services has; empty where nobody does."""
        holder = None if is_free(host, port) else port_holder(port)
        return "" if holder is None else str(holder)

    def holders(self) -> Mapping[int, str]:
        """Who listens on which port of this host: a look alone, which gets in the way of no start."""
        return {port: str(holder) for port, holder in listeners().items()}

    def discard(self, images: Collection[str]) -> None:
        """Remove those of `images`, by id, that were built here and that nothing needs any more."""
        ...


Prober = Callable[["Service", float], "ProbeResult"]
"""Asks a service, within so many seconds; raises nothing for what it finds."""


class Access(Protocol):
    """Reaches into the services of a stack. Every method may raise OpsError."""

    python: str
    """What starts Python beside a service, with the image of the app where it has one."""
    enters_as_root: bool
    """Whether `enter` can be root where a service runs; a process of this host never is for that."""

    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        """The call that runs `command` where `service` runs: same user, same network.

        `root`: as root there, where that is possible; see `enters_as_root`.
        """
        ...

    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        """The call that runs `command` in the data folder of `service`, as its user; it need not run.

        `image_of`: the service whose image, where it has one, holds the program, if not the same. With it,
        `service` may also be one that is gone and has left its data; the user is then that of `image_of`,
        and a data folder that is gone too is made anew.
        """
        ...

    def tool(self, service: str, command: Command) -> Command:
        """The call of a program that comes with `service` and works on what it is fed alone, as a checker."""
        ...

    def reaches(self, service: str) -> bool:
        """Whether there is a way to the data folder of `service` now, by `beside`."""
        ...

    def has_data(self, service: str, file: str, *, image_of: str = "") -> bool:
        """Whether the data folder of `service` has `file`; `image_of` as for `beside`."""
        ...

    def data_entries(self, service: str) -> frozenset[str] | None:
        """What lies in the data folder of `service`, nothing where that is gone; None: that can't be told."""
        ...

    def removal(self, service: str) -> str:
        """How a person takes the data of `service` away, as a part of a sentence."""
        ...

    def left(self, kind: str) -> tuple[str, ...]:
        """Names of services of `kind` that this stack has no more, and that have left their data."""
        ...

    def prober_inside(self) -> Prober:
        """Asks services that this host does not reach, as they are when this is called."""
        ...

    def halt(self, service: str) -> None:
        """Stop one service and leave it stopped; a step that restarts it starts it again."""
        ...

    def scratch(
        self, service: str, *, seed: Callable[[Path], None] | None = None
    ) -> AbstractContextManager[Scratch]:
        """A throwaway instance of `service` for the length of a with block.

        `seed` puts files into its folder before it starts: a Redis loads the dump.rdb that it finds there, a
        Prometheus the blocks in `data`.
        """
        ...


class Engine(Running, Access, Protocol):
    """Both, which every engine is; what takes one of them says so."""

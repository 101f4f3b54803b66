"""Backups: the parts that one is made of, and what every kind of data that is backed up knows to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.adapters.resources import human
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.service import Tool

if TYPE_CHECKING:
    from techsapo_ops.adapters.packed import PackedReader
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack


Progress = Callable[[int], None]
"""Told how many bytes of a source are done."""
Unit = Literal["rows", "keys", "bytes"]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much data there is."""

    unit: Unit
    count: int

    def __str__(self) -> str:
        if self.unit == "rows":
            return msg("{count:,} rows", count=self.count)
        return msg("{count:,} keys", count=self.count) if self.unit == "keys" else human(self.count)


@dataclass(frozen=True, slots=True)
class Part:
    """One source's file in a backup.

    `bytes` and `sha256` are those of the packed file, `raw_bytes` what it holds. `facts` were asked of the
    server at the moment of the dump, not read from the file; their keys are the source's own.
    """

    kind: str
    file: str
    bytes: int
    raw_bytes: int
    sha256: str
    seconds: float
    server: str = ""
    """Name and version of the server that was dumped."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The word that `--only` knows it by: `sqlite` of `sqlite:app-2`."""
        return self.kind.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Shrink:
    """One source that shrank: `now` `unit`s, where the backup `than` had `before`."""

    source: str
    unit: Unit
    before: int
    now: int
    than: str

    def __str__(self) -> str:
        return msg(
            "{source} shrank: {now} now, but {before} in backup {than}",
            source=self.source,
            now=Amount(self.unit, self.now),
            before=Amount(self.unit, self.before),
            than=self.than,
        )


class Source(Protocol):
    """One thing that is backed up."""

    @property
    def kind(self) -> str:
        """Names it in the manifest: that of its BackupKind, or `KIND:INSTANCE` where that has several."""
        ...

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write its file into `folder` and return what it is. Raises OpsError; a file may then be left."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """The way to one server for its own client programs.

    `enter` makes a command run where the server can be reached; `options` and `env` log the client in.
    """

    runner: Runner
    enter: Callable[[Command], Command] = lambda command: command
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, program: str, *arguments: str, stdin: bytes | None = None) -> Command:
        """The call of a client program, logged in."""
        return self.enter(Command((program, *self.options, *arguments), self.env, stdin))

    def run(
        self, program: str, *arguments: str, stdin: bytes | None = None, timeout: float = 60.0
    ) -> Completed:
        """Run a client program to its end."""
        return self.runner.run(self.command(program, *arguments, stdin=stdin), timeout=timeout)


class Untouched(OpsError):
    """A part could not be brought back, and nothing that was there of it has been replaced."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of restoring a part as a test. `seconds` is how long its data took to come back."""

    problems: Sequence[str] = ()
    seconds: float = 0.0
    note: str = ""
    """What could not be compared, and why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A file that a restore is about; `what` is `new`, `replaced`, `merged`, `the same`, or `left`.

    `why` is there for `merged` and `left`.
    """

    path: str
    what: str
    why: str = ""


Replay = Callable[["Scratch | None"], None]
"""Goes on from a part to a moment, in a throwaway server or, without one, in the running stack."""


class History(Protocol):
    """How the data of one kind goes on after a backup, so that it can be had as it was at any moment."""

    @property
    def title(self) -> str:
        """What it is read from, as a person calls it: `the binlog`."""
        ...

    def begins(self, part: Part) -> str:
        """Name of the log with which it goes on from `part`; empty where that is not known."""
        ...

    def logs(self, stack: Stack) -> Sequence[str] | None:
        """Names of the logs that the server still has, oldest first; None where it can't be asked."""
        ...

    def prepare(self, stack: Stack, part: Part, until: datetime) -> Replay:
        """What brings the data from `part` to `until`, once the part is back.

        Raises OpsError for a moment yet to come, and where the server no longer has what that takes.
        """
        ...


class BackupKind(ABC):
    """One kind of data: how it is taken, looked at, restored as a test, brought back, and told of.

    Without state: everything is asked of the stack. Every method that is given one may raise OpsError.
    """

    name: str
    """The word that `--only` knows it by."""
    title: str
    """What it is, as a person calls it: `Grafana's database`."""
    too_secret = ""
    """Why it goes into no repository but an encrypted one; empty where it lies in the folder here."""
    by_name_only = False
    """Whether a restore brings it back only where `--only` names it: what it replaces is seldom what anyone
    wants to lose."""
    stops: tuple[str, ...] = ()
    """Kinds of services that are stopped while it is brought back, since they use it."""
    restarts = False
    """Whether its own service is stopped meanwhile."""
    keeps_replaced = False
    """Whether what is replaced lies beside the new until `forget`; else the safety backup brings it back."""
    throwaway = ""
    """Kind of the service of which a throwaway server holds it as a test; empty where it needs none."""
    is_configuration = False
    """Whether what comes back takes effect with the next `techsapo up`."""
    history: History | None = None
    """How it goes on after a backup, where a moment after that can be had."""
    tools: tuple[Tool, ...] = ()
    """Programs of this host that it is taken and brought back with, where its service runs on this host."""

    # Taking it

    @abstractmethod
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        """What of it this stack has, or why there is none. None of it is read yet."""

    def tidy(self, stack: Stack) -> None:  # noqa: B027 - most leave nothing
        """Remove what a killed backup has left outside its folder; also where it is no source now."""

    @abstractmethod
    def fits(self, facts: Mapping[str, Any]) -> bool:
        """Whether `facts` of a manifest have what the other methods look for: anybody may have written it."""

    @abstractmethod
    def describe(self, part: Part) -> str:
        """What a part holds, in a few words, by its facts: `1,234 keys`."""

    def amount(self, part: Part) -> Amount:
        """How much a part holds, by what a loss of data would show in: rows, keys, else bytes."""
        return Amount("bytes", part.raw_bytes)

    def present_amount(self, stack: Stack, service: str) -> Amount | None:  # noqa: ARG002 - see below
        """How much of it `service` has now; None where that takes long to find out, or says nothing."""
        return None

    def warnings(self, part: Part) -> Sequence[str]:  # noqa: ARG002 - most have none
        """What is to be told of a part that was just taken, one sentence each."""
        return ()

    # Looking at it

    @abstractmethod
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        """Read a part to its end and say what is wrong with its content, without restoring it."""

    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial | None:  # noqa: ARG002 - see below
        """Restore a part where it harms nothing, and compare; None where `check` has seen all there is.

        Raises OpsError where that is not possible, which says nothing of the part.
        """
        return None

    def restored(
        self, stack: Stack, part: Part, reader: PackedReader, progress: Progress
    ) -> AbstractContextManager[Scratch]:
        """A throwaway server that holds a part, for the length of a with block; see `throwaway`."""
        raise NotImplementedError(self.name)

    def trial_bytes(self, part: Part) -> int:
        """About how much room a throwaway server with a part takes, in bytes."""
        return part.raw_bytes

    def client(self, scratch: Scratch) -> Command:  # noqa: ARG002 - a shell needs nothing of it
        """What a person starts in the container of a throwaway server to look around."""
        return Command(("sh",))

    def by_hand(self, file: Path) -> str:
        """What a person types to look into the file of a part."""
        return f"zstd -dc {file} | tar -tvf -"

    # Bringing it back

    def service(self, kind: str) -> str:
        """The service that has to run for a part of this `kind`, empty where none has to."""
        return kind.partition(":")[2] or kind

    def homeless(self, stack: Stack, kind: str) -> str:
        """Why this stack has no place for a part of this `kind`; empty where it has one."""
        service = self.service(kind)
        if not service or stack.topology.meant(service):
            return ""
        return msg("this stack no longer has {service}", service=service)

    @abstractmethod
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        """Program and version that holds the data now, and what it holds: nothing where that is empty."""

    def targets(self, stack: Stack, part: Part) -> Sequence[Target]:  # noqa: ARG002 - see below
        """Every file that would be written, where it is this process that writes files; else none."""
        return ()

    def require(self, stack: Stack, part: Part, reader: PackedReader) -> None:  # noqa: B027 - most need nothing
        """Raise OpsError where a part could not be used here."""

    def missing(self, stack: Stack) -> Sequence[str]:  # noqa: ARG002 - most have no others
        """What of several servers that share its data is not there, while all of them have to be: sentences.

        A server that answers may be cut off from the others.
        """
        return ()

    @abstractmethod
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        """Replace what is there by a part, and let its service go on with it."""

    @abstractmethod
    def differences(self, stack: Stack, part: Part) -> list[str]:
        """How what is there differs from the facts of a part."""

    def spent(self, stack: Stack, kind: str) -> Mapping[str, int]:  # noqa: ARG002 - most know of no money
        """Nano-dollars that were spent, by names of the kind's own; asked while the app is off."""
        return {}

    def keep_spent(self, stack: Stack, kind: str, before: Mapping[str, int]) -> None:  # noqa: B027 - likewise
        """See that what came back says no less than `before`, which `spent` gave."""

    def put_back(self, stack: Stack, kind: str) -> None:  # noqa: B027 - see keeps_replaced
        """Bring back what lies beside; nothing where the work had not come so far."""

    def forget(self, stack: Stack, kind: str) -> None:  # noqa: B027 - likewise
        """Remove what lies beside."""

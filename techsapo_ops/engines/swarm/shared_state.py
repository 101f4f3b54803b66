"""The state directory on all machines: any of them goes on where another one left off, or was lost.

Its newest bundle lies in a volume of each machine; a note in the Swarm's own store says which one it is.
It is written before an apply changes anything, and at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters import swarm
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.fleet import Fleet, Member
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.unreachable import reasons_of
from techsapo_ops.engines.swarm import bundle
from techsapo_ops.engines.swarm.copies import Copies
from techsapo_ops.engines.swarm.lease import Lease, held
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NAME = "state"
_SLOTS = 4
"""Bundles that lie on a machine: while one is written, the one before is whole."""
_NOTES_STORED = 3
"""Notes of the newest bundles that stay in Swarm."""
_SECONDS = 60.0


_LEASES: dict[Path, Lease] = {}
"""By state directory those that this process holds: whoever changes something looks at them first."""


def check(state: Path) -> None:
    """Raise OpsError where this process is at work on a stack and may no longer be the only one."""
    if (lease := _LEASES.get(state)) is not None:
        lease.check()


@dataclass(frozen=True, slots=True)
class Version:
    """A bundle by its number and its digest."""

    number: int
    digest: str


class SharedState:
    """The state directory `state` of the stack `project`, as the machines of `fleet` share it."""

    def __init__(self, state: Path, project: str, fleet: Fleet, say: Callable[[str], None]) -> None:
        self._state = state
        self._project = project
        self._fleet = fleet
        self._say = say
        self._purpose = purpose_of(project)

    @contextmanager
    def at_work(self, wait: float) -> Iterator[None]:
        """Be the only techsapo at work on any machine, from the newest state on, and share what comes of it.

        Raises OpsError where somebody else is, for longer than `wait` seconds, and where no quorum answers.
        """
        with held(lambda: self._fleet.manager, self._project, wait, self._say) as lease:
            lease.elsewhere = self._fleet.forget_manager
            self.refresh()
            _LEASES[self._state] = lease
            try:
                yield
            except BaseException:
                try:
                    self._end(lease)
                except OpsError as error:  # the command's own error is the one to be raised
                    self._say(error.message)
                raise
            self._end(lease)

    def _end(self, lease: Lease) -> None:
        """Share what came of the work.

        Raises OpsError where too few machines take it, and where another command may be at work by now.
        """
        del _LEASES[self._state]
        try:
            lease.check()
        except OpsError as error:
            raise OpsError(
                msg(
                    "the changes made by this command are recorded on this host only, not on the other "
                    "hosts: {why}",
                    why=lease.lost,
                ),
                error.hint,
            ) from None
        self.publish()

    def refresh(self) -> None:
        """Bring the state directory to the newest bundle. Raises OpsError where no machine has it.

        What was changed here and never shared is set aside, and said, where the machines have gone on; so is
        all that is here where they were set back, or begin anew, and what a killed one had brought half of.
        """
        newest = self._newest()
        here = self._noted()
        if newest is None or newest == here:
            return
        digest = bundle.digest(bundle.pack(self._state))
        if digest == newest.digest:  # killed once it was shared, or brought here
            self._note(newest)
            return
        content = self._fetch(newest)
        if here is not None and newest.number <= here.number:
            self._say(
                msg("the other hosts have state {newest} of this stack, and this host has state {here}: "
                    "the state of the other hosts was reset",
                    newest=newest.number, here=here.number)
            )  # fmt: skip
            self._set_aside()
        elif here is None or digest != here.digest:
            self._set_aside()
        bundle.unpack(self._state, content)
        self._note(newest)

    def publish(self) -> None:
        """Let a majority of the machines have the state directory as it is now; nothing where they have it.

        Raises OpsError where fewer than a majority take it, or somebody else has shared another one.
        """
        content = bundle.pack(self._state)
        here, digest = self._noted(), bundle.digest(content)
        if here is not None and here.digest == digest:
            return
        version = Version(here.number + 1 if here is not None else 1, digest)
        newest = self._newest()
        if newest is not None and newest != here:
            raise _overtaken()  # before its bundle takes the place of the newest one
        self._write(version, content)
        manager = self._fleet.manager
        name = f"{self._purpose}.{version.number:09d}"
        if not swarm.take(manager, self._purpose, name, {"digest": digest, "number": version.number}):
            raise _overtaken()
        self._note(version)
        for old in swarm.notes(manager, self._purpose)[:-_NOTES_STORED]:
            swarm.remove(manager, old)

    def _newest(self) -> Version | None:
        notes = swarm.notes(self._fleet.manager, self._purpose)
        last = max(notes, key=swarm.number, default=None)
        return Version(swarm.number(last), str(last.content.get("digest"))) if last is not None else None

    def _write(self, version: Version, content: bytes) -> None:
        tar, copies = bundle.single(_slot(version), content), self._copies

        def copy(member: Member) -> Completed:
            call = Command(member.streaming("cp", "-", copies.place).argv, stdin=tar)
            return member.runner.run(call, timeout=_SECONDS)

        failed = {**self._fleet.unreachable, **copies.put(copy)}
        if 2 * (len(self._fleet.members) - len(failed)) <= len(self._fleet.members):
            raise OpsError(
                msg(
                    "too few hosts accept a copy of the state directory ({reasons})",
                    reasons=reasons_of(failed),
                )
            )

    def _fetch(self, version: Version) -> bytes:
        copies = self._copies
        for member in copies.answering():
            try:
                done = member.attempt("cp", f"{copies.place}/{_slot(version)}", "-", timeout=_SECONDS)
            except OpsError:
                continue  # the next machine has it as well
            if done.code == 0:
                content = bundle.only_file(done.stdout)
                if bundle.digest(content) == version.digest:
                    return content
        raise OpsError(
            msg("no host that answers has state {number} of this stack", number=version.number),
            msg("bring back the host that ran the last command"),
        )

    @property
    def _copies(self) -> Copies:
        """On the machines that answered the last look."""
        return Copies(self._fleet.without(self._fleet.unreachable), self._project, _NAME)

    def _noted(self) -> Version | None:
        try:
            value = json.loads((self._state / bundle.TRAVEL_NOTE).read_text(encoding="utf-8"))
            return Version(int(value["number"]), str(value["digest"]))
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def _note(self, version: Version) -> None:
        value = {"number": version.number, "digest": version.digest}
        write_json(self._state / bundle.TRAVEL_NOTE, value)

    def _set_aside(self) -> None:
        if not (self._state / "ledger").is_dir():
            return  # nothing was applied from here
        content = bundle.pack(self._state)
        path = self._state / bundle.SET_ASIDE / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(path, content, 0o600)
        self._say(msg("the state that is only on this host was saved separately: {path}", path=path))


def _overtaken() -> OpsError:
    return OpsError(
        msg(
            "another techsapo command has updated the shared state in the meantime; the state of this "
            "command is only on this host"
        ),
        msg("`techsapo plan` shows what differs now"),
    )


def forget(fleet: Fleet, project: str) -> None:
    """Let no machine have anything of the stack's state directory: a stack of that name begins anew.

    One that does not answer keeps its bundles, of which nothing tells any more. Raises OpsError where no
    quorum answers.
    """
    manager = fleet.manager
    for note in swarm.notes(manager, purpose_of(project)):
        swarm.remove(manager, note)
    Copies(fleet, project, _NAME).forget()


def purpose_of(project: str) -> str:
    """What the notes are about that tell of a stack's state, see adapters.swarm."""
    return f"{project}.state"


def _slot(version: Version) -> str:
    return f"state-{version.number % _SLOTS}.tar"

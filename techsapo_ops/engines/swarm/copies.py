"""Files of a stack that every machine has: in a volume, by a container that is never started.

So is a copy of the backup by which a restore goes back: its own may be lost half way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.fleet import REACH_SECONDS, Fleet, Member
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.unreachable import why
from techsapo_ops.engines.swarm import bundle
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_IMAGE = "techsapo/nothing:1"
_SECONDS = 60.0
_COPY_SECONDS = 3600.0
_PARTIAL = ".partial"
"""As the folder of backups ends names that are not whole, and removes them."""


class Copies:
    """What the machines of `fleet` have of the stack `project` by `name`, such as `state`.

    A machine that does not answer is passed over: whatever is asked of it would be waited for.
    """

    def __init__(self, fleet: Fleet, project: str, name: str) -> None:
        self._fleet = fleet
        self._project = project
        self.container = f"{project}-{name}"
        self._volume = f"{project}_{name}"
        self._folder = f"/{name}"

    @property
    def place(self) -> str:
        """Where they are, as `docker cp` takes it."""
        return f"{self.container}:{self._folder}"

    def put(self, copy: Callable[[Member], Completed]) -> dict[str, str]:
        """Let `copy` bring something to `place` on each machine; by machine why it has none."""

        def one(member: Member) -> str:
            if member.answers(REACH_SECONDS) is None:
                return msg("no answer")
            try:
                self._make(member)
                done = copy(member)
            except OpsError as error:
                return why(error, member.name, member.way)
            return "" if done.code == 0 else member.why(done)

        return {name: said for name, said in self._fleet.each(one).items() if said}

    def answering(self) -> Iterator[Member]:
        """The machines, one after another, that answer now."""
        return (m for m in self._fleet.members.values() if m.answers(REACH_SECONDS) is not None)

    def forget(self) -> None:
        """Let no machine have any of it; one that does not answer keeps its own."""

        def one(member: Member) -> None:
            with suppress(OpsError):  # one that went away since it was asked is one that does not answer
                if member.answers(REACH_SECONDS) is not None:
                    member.attempt("container", "rm", "--force", self.container, timeout=_SECONDS)
                    member.attempt("volume", "rm", "--force", self._volume, timeout=_SECONDS)

        self._fleet.each(one)

    def _make(self, member: Member) -> None:
        """Make the container on a machine, where it is not. Raises OpsError."""
        if member.attempt("container", "inspect", "--format", "{{.Id}}", self.container).code == 0:
            return
        if member.attempt("image", "inspect", "--format", "{{.Id}}", _IMAGE).code != 0:
            empty = Command(member.streaming("import", "-", _IMAGE).argv, stdin=bundle.EMPTY)
            member.runner.run(empty, timeout=_SECONDS)
        label, mount = f"{STACK}.state={self._project}", f"{self._volume}:{self._folder}"
        options = ("--name", self.container, "--label", label, "--volume", mount)
        member.call("container", "create", *options, _IMAGE, "none")


def aside(fleet: Fleet, project: str) -> Copies:
    """The copies of a stack."""
    return Copies(fleet, project, "aside")


def keep_aside(fleet: Fleet, project: str, folder: Path) -> Mapping[str, str]:
    """Copy a backup's folder to every machine, in place of the one before; by machine why it has none."""
    copies = aside(fleet, project)
    copies.forget()
    return copies.put(lambda m: m.attempt("cp", str(folder), f"{copies.place}/", timeout=_COPY_SECONDS))


def fetch_aside(fleet: Fleet, project: str, name: str, into: Path) -> bool:
    """Bring the copy `name` into the folder `into`; False where no machine that answers has it.

    Raises OpsError where it can't be written here.
    """
    copies, partial = aside(fleet, project), into / f"{name}{_PARTIAL}"
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        for member in copies.answering():
            if partial.exists():
                shutil.rmtree(partial)
            source = f"{copies.place}/{name}"
            if member.attempt("cp", source, str(partial), timeout=_COPY_SECONDS).code == 0:
                partial.rename(into / name)
                sync_directory(into)
                return True
    except OSError as error:
        raise cannot_write(partial, error) from None
    return False

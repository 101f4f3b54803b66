"""One techsapo at a time at a stack on several machines, from whichever of them it is called.

A lease in the Swarm's own store: the note with the highest number is who holds it. Its holder writes the next
number every few seconds; somebody else may do so once the last one is older than that allows, and then the
first finds its number taken and stops. A command whose machine was lost is in nobody's way for longer.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters import swarm
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.swarm import Note, number
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

RENEW_SECONDS = 15.0
LOST_SECONDS = 60.0
"""Age of the last note at which its holder is taken for lost. Longer than a change of the Swarm's leader, for
which nothing is written (24 s were seen), and than clocks of machines differ that keep time."""
_CALL_SECONDS = 10.0
"""Longest time that a renewal waits for one answer: another manager is asked while the note lasts."""
_AGAIN_SECONDS = 3.0
"""After a renewal of which no manager took the note."""
_SECONDS = 30.0
"""The same at its beginning and end."""
_PAUSE = 1.0
_WORD = re.compile("[a-z][a-z-]*")
"""A command's name. Further arguments may be secret, and are nobody's business."""
_LONGEST = 80
_MARK = "lease"


class AtWork(OpsError):
    """Somebody else holds it: who, where and since when."""


@dataclass
class Lease:
    """A lease that is held; `check` raises OpsError once it may be somebody else's."""

    manager: Callable[[], Docker]
    purpose: str
    note: Note
    mark: str
    """In each of its notes, so that it knows them for its own."""
    elsewhere: Callable[[], None] = lambda: None
    """Has `manager` look for another one."""
    renewed: float = field(default_factory=lambda: now())
    """Before the note was written: it is not younger than this."""
    lost: str = ""
    past: list[Note] = field(default_factory=list)
    """Notes of before that could not be removed when the next one was written."""
    tried: float | None = None
    """When the next note was tried first, whose answer was lost."""

    def check(self) -> None:
        """Raise OpsError where it is no longer sure that nobody else is at work."""
        if not self.lost and now() - self.renewed > LOST_SECONDS:
            self.lost = msg("the Swarm did not answer for {seconds:.0f} s", seconds=LOST_SECONDS)
        if self.lost:
            raise OpsError(
                msg(
                    "this command stops, because another command may have started to change the stack: {why}",
                    why=self.lost,
                ),
                msg("`techsapo up` completes an interrupted apply, `techsapo rollback` undoes it"),
            )

    def renew(self) -> bool:
        """Write the next number, whether a manager took it; what goes wrong shows in `check`."""
        for _ in range(2):
            began = now()
            try:
                acquired = _take(
                    self.manager(), self.purpose, number(self.note) + 1, self.mark, timeout=_CALL_SECONDS
                )
            except OpsError:
                self.tried = began if self.tried is None else self.tried
                self.elsewhere()  # this one may be cut off, and the others have a quorum
                continue  # where there is none for now, it lasts until LOST_SECONDS are over
            if acquired is None:
                self.lost = msg("another command has taken over")
                return False
            taken, new = acquired
            self.past.append(self.note)
            self.renewed = began if new or self.tried is None else self.tried
            self.note, self.tried = taken, None
            with suppress(OpsError):  # the newest one counts; they are removed with the next, or at the end
                self._remove_past(_CALL_SECONDS)
            return True
        return False

    def end(self) -> None:
        """Leave nothing of it. Raises OpsError where no manager answers."""
        self._remove_past()
        swarm.remove(self.manager(), self.note)

    def _remove_past(self, timeout: float = _SECONDS) -> None:
        while self.past and swarm.remove(self.manager(), self.past[-1], timeout):
            self.past.pop()


@contextmanager
def held(
    manager: Callable[[], Docker], project: str, wait: float, say: Callable[[str], None]
) -> Iterator[Lease]:
    """Hold the lease of the stack `project` while the block runs, waiting up to `wait` seconds for it.

    `manager` gives a manager that answers; `say` is told whose lease is passed over. Raises OpsError naming
    the holder, and where no quorum answers.
    """
    purpose = f"{project}.lease"
    lease = _acquire(manager, purpose, wait, say)
    over = threading.Event()

    def keep() -> None:
        pause = RENEW_SECONDS
        while not over.wait(pause) and not lease.lost:
            pause = RENEW_SECONDS if lease.renew() else _AGAIN_SECONDS

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        over.set()
        keeper.join(LOST_SECONDS)
        if not lease.lost:
            try:
                lease.end()
            except OpsError:
                lease.lost = msg("no Swarm manager answers")  # it ends by itself


def taken(manager: Docker, project: str) -> bool:
    """Whether somebody holds the lease of the stack `project`. Raises OpsError where no quorum answers."""
    last = _last(manager, f"{project}.lease")
    return last is not None and not _is_dead(last, manager)


def _last(manager: Docker, purpose: str) -> Note | None:
    return max(swarm.notes(manager, purpose), key=number, default=None)


def _acquire(manager: Callable[[], Docker], purpose: str, wait: float, say: Callable[[str], None]) -> Lease:
    deadline, mark = time.monotonic() + wait, secrets.token_hex(8)
    while True:
        notes = swarm.notes(manager(), purpose)
        last = max(notes, key=number, default=None)
        if last is None or _is_dead(last, manager()):
            wanted, began = number(last) + 1 if last is not None else 1, now()
            ours = _take(manager(), purpose, wanted, mark)
            if ours is not None:
                if last is not None:
                    say(_passed_over(last))
                for old in notes:
                    swarm.remove(manager(), old)
                return Lease(manager, purpose, ours[0], mark, renewed=began)
            if time.monotonic() >= deadline:
                quicker = _last(manager(), purpose)
                if quicker is not None and number(quicker) >= wanted:
                    raise _at_work(quicker, manager())
                raise _in_the_way(f"{purpose}.{wanted}")
        elif time.monotonic() >= deadline:
            raise _at_work(last, manager())
        time.sleep(min(_PAUSE, max(deadline - time.monotonic(), 0.05)))


def now() -> float:
    """Seconds that go on while this machine is suspended, which time.monotonic() leaves out.

    clock_gettime(2).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _take(
    manager: Docker, purpose: str, wanted: int, mark: str, timeout: float = _SECONDS
) -> tuple[Note, bool] | None:
    """The note of that number, where it is ours, and whether it was written now.

    A call whose answer was lost may have written it before.
    """
    name = f"{purpose}.{wanted}"
    new = swarm.take(manager, purpose, name, {**own_words(), _MARK: mark}, timeout)
    note = swarm.named(manager, purpose, name, timeout)
    return (note, new) if note is not None and note.content.get(_MARK) == mark else None


def own_words() -> dict[str, Any]:
    """What this process writes of itself into its lease, for all who may ask a manager."""
    words = (word for word in sys.argv[1:3] if _WORD.fullmatch(word))
    return {
        "command": " ".join(["techsapo", *words]),
        "host": socket.gethostname(),
        "boot": _boot(),
        "pids": _pids(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _pids() -> str:
    """Whose pids those here are: a container counts its own."""
    return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path


def _is_dead(note: Note, manager: Docker) -> bool:
    who = note.content
    here = {"boot": _boot(), "pids": _pids(), "host": socket.gethostname()}
    pid = who.get("pid")
    if isinstance(pid, int) and pid > 0 and all(who.get(key) == value for key, value in here.items()):
        # Of this very machine: killed, it can be told at once.
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass
    return _age(note, manager) > LOST_SECONDS


def _who(note: Note) -> dict[str, str]:
    return {key: _plain(value) for key, value in note.content.items()}


def _plain(value: object) -> str:
    """Without what a terminal would obey: it was written on another machine."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)[:_LONGEST])


def _age(note: Note, manager: Docker) -> float:
    return (swarm.manager_time(manager) - note.created).total_seconds()


def _passed_over(note: Note) -> str:
    who = _who(note)
    return msg(
        "`{command}` on host {host} (pid {pid}, since {since}) was interrupted; this command takes over",
        command=who.get("command", "techsapo"),
        host=who.get("host", "?"),
        pid=who.get("pid", "?"),
        since=who.get("since", "?"),
    )


def _at_work(note: Note, manager: Docker) -> AtWork:
    who = _who(note)
    return AtWork(
        msg(
            "`{command}` on host {host} (pid {pid}, since {since}) is working on this stack; last heard "
            "from {age:.0f} s ago",
            command=who.get("command", "techsapo"),
            host=who.get("host", "?"),
            pid=who.get("pid", "?"),
            since=who.get("since", "?"),
            age=_age(note, manager),
        ),
        msg(
            "wait for that command with --wait; a command that was lost with its host is ignored after a "
            "minute"
        ),
    )


def _in_the_way(name: str) -> AtWork:
    return AtWork(
        msg(
            "this command has to create the Swarm config {name}, but that config already exists",
            name=name,
        ),
        msg(
            "try again; if that fails too, `docker config inspect {name}` on a manager shows the config",
            name=name,
        ),
    )

"""Looks at a backup: its digests, what each kind finds in its part, and what that restores to as a test."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic

from techsapo_ops.adapters.packed import file_sha256, open_plain
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.kinds.registry import require_room
from techsapo_ops.backup.repository.folder import MANIFEST, SUMS, Backup, Repository, sums_of
from techsapo_ops.backup.repository.origin import MAC, Origin, State
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.stack import Stack

QUICK = "quick"
"""The level that restores nothing."""
DEEP = "deep"
"""The level that restores every part as a test."""
_MOST = 20


@dataclass(frozen=True, slots=True)
class PartResult:
    """What was found out about one part. `seconds` is how long that took, restoring included."""

    kind: str
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    note: str = ""
    """What could not be looked at, and why."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found out about one backup. `level` is quick, deep or offsite_deep; `at` is UTC, ISO 8601."""

    id: str
    level: str
    at: str
    parts: tuple[PartResult, ...]
    problems: tuple[str, ...] = field(default=())
    """What is wrong with the backup as a whole."""
    seconds: float = 0.0
    authentication: str = ""
    """Its origin: a word of origin.State."""
    note: str = ""
    """What is not wrong, and is to be known."""
    passed_over: tuple[str, ...] = ()
    """Newer backups whose manifest can't be read, and why, where the newest was asked for."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(part.ok for part in self.parts)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        return (
            *self.problems,
            *(
                msg("{kind}: {problem}", kind=p.kind, problem=problem)
                for p in self.parts
                for problem in p.problems
            ),
        )


def faults(backup: Backup, origin: Origin) -> list[str]:
    """What keeps a backup from being used at all: whose it is, then its files by its manifest.

    Everything that reads a backup begins with it: nothing is looked into of one that is not ours, and no more
    is read than the manifest says, as a file may be made to have any size.
    """
    if origin.state is State.TAMPERED:
        return [msg("it was tampered with, or is damaged: {why}", why=origin.why)]
    if not origin.ours:
        return [
            msg(
                "the backup is unauthenticated: {why}; if it is yours, run `techsapo backup accept {id}`",
                why=origin.why,
                id=backup.id,
            )
        ]
    if backup.manifest is None:
        return [backup.damage]
    wrong = []
    for part in backup.manifest.parts:
        try:
            size = (backup.folder / part.file).lstat().st_size
            if size != part.bytes:
                wrong.append(
                    msg(
                        "{name} has changed since it was written: it has {size} bytes",
                        name=part.file,
                        size=size,
                    )
                )
            elif file_sha256(backup.folder / part.file) != part.sha256:
                wrong.append(
                    msg("{name} has changed since it was written: its SHA-256 differs", name=part.file)
                )
        except FileNotFoundError:
            wrong.append(msg("{name} is missing", name=part.file))
        except OSError as error:
            wrong.append(msg("{name} can't be read: {strerror}", name=part.file, strerror=error.strerror))
    sums = sums_of(backup.manifest, backup.digest).encode()
    try:
        with open_plain(backup.folder / SUMS) as file:
            same = file.read(len(sums) + 1) == sums
    except OSError:
        same = False
    if not same:
        wrong.append(msg("{sums} is missing or damaged", sums=SUMS))
    belonging = {MANIFEST, MAC, SUMS, *(part.file for part in backup.manifest.parts)}
    extra = sorted(set(os.listdir(backup.folder)) - belonging)  # noqa: PTH208 - names are wanted
    return few([*wrong, *(msg("{name} does not belong to the backup", name=name) for name in extra)])


def check_part(stack: Stack, backup: Backup, part: Part) -> tuple[str, ...]:
    """What is wrong with one part: its digest in the manifest, then its content."""
    kind = registry.find(part.source)
    if kind is None:
        return (msg("this techsapo does not know {source}", source=part.source),)
    reader = backup.reader(part)
    try:
        wrong = kind.check(stack, part, reader)
    except OpsError as error:
        return (error.message,)
    if not wrong and reader.sha256 != part.sha256:
        wrong = [msg("{file} is not the file in the manifest: its SHA-256 differs", file=part.file)]
    return tuple(few(wrong))


def few(sentences: list[str]) -> list[str]:
    """The first of many sentences, and how many more there are."""
    more = len(sentences) - _MOST
    return sentences if more <= 0 else [*sentences[:_MOST], msg("and {more:,} more", more=more)]


def verify(
    stack: Stack,
    repository: Repository,
    backup: Backup,
    level: str,
    progress: Callable[[str, int], None] = lambda _kind, _bytes: None,
) -> Verification:
    """Look at every part of a backup in `repository`, wherever it came from: the one verification there is.

    Of the level `quick` nothing is restored; of any other every part is, as a test, and `seconds` of each is
    how long its data took to come back. Raises OpsError where a throwaway server can't be had, or has no
    room, which says nothing of the backup, and where the keys can't be read.
    """
    # Two verifications within a second differ: alerts use the last one.
    at, began = datetime.now(UTC).isoformat(timespec="microseconds"), monotonic()
    origin = repository.origin(backup)
    wrong = faults(backup, origin)
    parts: list[PartResult] = []
    if origin.ours and backup.manifest is not None:
        if level == QUICK:
            parts = [_checked(stack, backup, part) for part in backup.manifest.parts]
        elif not wrong:  # a part whose bytes changed is not given to a server
            require_room(stack, backup.manifest.parts, at_once=False)
            parts = [_tried(stack, backup, part, progress) for part in backup.manifest.parts]
    seconds = round(monotonic() - began, 3)
    return Verification(backup.id, level, at, tuple(parts), tuple(wrong), seconds, origin.state)


def _checked(stack: Stack, backup: Backup, part: Part, note: str = "") -> PartResult:
    began = monotonic()
    wrong = check_part(stack, backup, part)
    return PartResult(part.kind, wrong, round(monotonic() - began, 3), note)


def _tried(stack: Stack, backup: Backup, part: Part, progress: Callable[[str, int], None]) -> PartResult:
    kind = registry.find(part.source)
    if kind is None:
        return _checked(stack, backup, part)
    if kind.throwaway and not stack.topology.has(kind.throwaway):
        note = msg("no trial restore: the stack no longer has {throwaway}", throwaway=kind.throwaway)
        return replace(_checked(stack, backup, part, note), seconds=0.0)
    trial = kind.trial(stack, part, backup.reader(part), partial(progress, part.kind))
    if trial is None:
        return _checked(stack, backup, part)
    return PartResult(part.kind, tuple(trial.problems), round(trial.seconds, 3), trial.note)

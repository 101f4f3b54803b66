"""Looks at a backup: its digests, what each kind finds in its part, and what that restores to on trial."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

from techsapo_ops.adapters.packed import file_sha256, open_plain
from techsapo_ops.backup import registry
from techsapo_ops.backup.manifest import LONGEST
from techsapo_ops.backup.origin import MAC, Origin, State
from techsapo_ops.backup.repository import MANIFEST, SUMS, Backup
from techsapo_ops.backup.trial_room import require_room
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.shapes import file_name
from techsapo_ops.stack.stack import Stack

_MOST = 20
_LONGEST_SUMS = 1024 * 1024


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


def check_sums(backup: Backup, *, trusted: bool = True) -> list[str]:
    """What is wrong with a backup's files by SHA256SUMS and its manifest: missing, added, or other content.

    No more is read than the manifest says: a file may be made to have any size. Where the manifest itself is
    not `trusted`, the parts are not read.
    """
    try:
        with open_plain(backup.folder / SUMS) as file:
            lines = file.read(_LONGEST_SUMS).decode("utf-8").splitlines()
        there = sorted(os.listdir(backup.folder))  # noqa: PTH208 - names are wanted
    except (OSError, UnicodeDecodeError):
        return [msg("{sums} is missing or damaged: the backup can't be trusted", sums=SUMS)]
    wanted = {line[66:]: line[:64] for line in lines}
    parts = backup.manifest.parts if backup.manifest is not None else ()
    sizes = {part.file: part.bytes for part in parts}
    digests = {part.file: part.sha256 for part in parts}
    wrong = []
    for name, digest in wanted.items():
        if not file_name(name):
            wrong.append(msg("{sums} names {name}, which is no file of a backup", sums=SUMS, name=repr(name)))
            continue
        if backup.manifest is not None and name not in {*sizes, MANIFEST, MAC}:
            wrong.append(msg("{name} does not belong to it", name=name))
            continue
        try:
            size = (backup.folder / name).lstat().st_size
            if size > sizes.get(name, LONGEST):
                wrong.append(msg("{name} is not what was written: it has {size} bytes", name=name, size=size))
                continue
            if name not in {MANIFEST, MAC} and (backup.manifest is None or not trusted):
                continue
            found = file_sha256(backup.folder / name)
        except FileNotFoundError:
            wrong.append(msg("{name} is missing", name=name))
            continue
        except OSError as error:
            wrong.append(msg("{name} can't be read: {strerror}", name=name, strerror=error.strerror))
            continue
        if found != digest:
            wrong.append(msg("{name} is not what was written: its SHA-256 differs", name=name))
        elif found != digests.get(name, found):
            wrong.append(msg("{file} is not the file of the manifest: its SHA-256 differs", file=name))
    listed = {*wanted, SUMS}
    wrong += [
        msg("{file} is not in {sums}", file=part.file, sums=SUMS) for part in parts if part.file not in wanted
    ]
    return few(
        wrong + [msg("{name} does not belong to it", name=name) for name in there if name not in listed]
    )


def check_part(stack: Stack, backup: Backup, part: Part) -> tuple[str, ...]:
    """What is wrong with one part: its digest in the manifest, then its content."""
    kind = registry.find(part.source)
    if kind is None:
        return (msg("this techsapo knows no {source}", source=part.source),)
    reader = backup.reader(part)
    try:
        wrong = kind.check(stack, part, reader)
    except OpsError as error:
        return (error.message,)
    if not wrong and reader.sha256 != part.sha256:
        wrong = [msg("{file} is not the file of the manifest: its SHA-256 differs", file=part.file)]
    return tuple(few(wrong))


def few(sentences: list[str]) -> list[str]:
    """The first of many sentences, and how many more there are."""
    more = len(sentences) - _MOST
    return sentences if more <= 0 else [*sentences[:_MOST], msg("and {more:,} more", more=more)]


def verify_quick(stack: Stack, backup: Backup, at: str) -> Verification:
    """Look at every part of `backup` without restoring it."""
    return _looked(backup, "quick", at, lambda part: _checked(stack, backup, part))


def verify_deep(
    stack: Stack, backup: Backup, at: str, told: Callable[[str, int], None] = lambda _kind, _bytes: None
) -> Verification:
    """Restore every part of `backup` on trial; `seconds` of each is how long its data took to come back.

    Raises OpsError where a throwaway server can't be had, or has no room, which says nothing of the backup.
    """
    if backup.manifest is not None:
        require_room(stack, backup.manifest.parts, at_once=False)
    return _looked(backup, "deep", at, lambda part: _tried(stack, backup, part, told))


def _looked(backup: Backup, level: str, at: str, look: Callable[[Part], PartResult]) -> Verification:
    began = monotonic()
    whole = check_sums(backup)
    parts: tuple[PartResult, ...] = ()
    if backup.manifest is None:
        whole.append(backup.damage)
    elif level == "quick" or not whole:  # a part whose bytes changed is not given to a server
        parts = tuple(look(part) for part in backup.manifest.parts)
    return Verification(backup.id, level, at, parts, tuple(whole), round(monotonic() - began, 3))


def _checked(stack: Stack, backup: Backup, part: Part, note: str = "") -> PartResult:
    began = monotonic()
    wrong = check_part(stack, backup, part)
    return PartResult(part.kind, wrong, round(monotonic() - began, 3), note)


def _tried(stack: Stack, backup: Backup, part: Part, told: Callable[[str, int], None]) -> PartResult:
    kind = registry.find(part.source)
    if kind is None:
        return _checked(stack, backup, part)
    if kind.throwaway and not stack.topology.has(kind.throwaway):
        note = msg("the stack has no {throwaway} any more to restore it on trial", throwaway=kind.throwaway)
        return replace(_checked(stack, backup, part, note), seconds=0.0)
    trial = kind.trial(stack, part, backup.reader(part), partial(told, part.kind))
    if trial is None:
        return _checked(stack, backup, part)
    return PartResult(part.kind, tuple(trial.problems), round(trial.seconds, 3), trial.note)


def refused(backup: Backup, level: str, origin: Origin, at: str) -> Verification:
    """The verdict on a backup that somebody has changed: nothing of it is looked into."""
    problems = [
        msg("it was tampered with, or is damaged: {why}", why=origin.why),
        *check_sums(backup, trusted=False),
    ]
    if backup.manifest is None:
        problems.append(backup.damage)
    return Verification(backup.id, level, at, (), tuple(problems), authentication=origin.state)


def with_origin(found: Verification, origin: Origin) -> Verification:
    """The verdict with what is known of the backup's origin."""
    why = msg(" ({why})", why=origin.why) if origin.why else ""
    note = (
        "" if origin.state is State.AUTHENTICATED else msg("{state}{why}", state=origin.state.value, why=why)
    )
    return replace(found, authentication=origin.state, note=note)

"""Looks at a backup without restoring it: digests, redis-check-rdb, last line, listing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from techsapo_ops.adapters.packed import PackedReader, file_sha256, open_plain
from techsapo_ops.backup.manifest import LONGEST, Part
from techsapo_ops.backup.origin import MAC, Origin, State
from techsapo_ops.backup.repository import MANIFEST, SUMS, Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.shapes import file_name

_MOST = 20
_LONGEST_SUMS = 1024 * 1024
Checker = Callable[[Part, PackedReader], list[str]]
"""Reads a part to its end and says what is wrong with its content."""


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
    """What was found out about one backup. `level` is `quick` or `deep`; `at` is UTC, ISO 8601."""

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

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(part.ok for part in self.parts)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        return (*self.problems, *(f"{p.kind}: {problem}" for p in self.parts for problem in p.problems))


def check_sums(backup: Backup, *, trusted: bool = True) -> list[str]:
    """What is wrong with a backup's files by SHA256SUMS: missing, added, or other content.

    No more is read than the manifest says: a file may be made to have any size. Where the manifest itself is
    not `trusted`, the parts are not read.
    """
    try:
        with open_plain(backup.folder / SUMS) as file:
            lines = file.read(_LONGEST_SUMS).decode("utf-8").splitlines()
        there = sorted(os.listdir(backup.folder))  # noqa: PTH208 - names are wanted
    except (OSError, UnicodeDecodeError):
        return [f"{SUMS} is missing or damaged: the backup can't be trusted"]
    wanted = {line[66:]: line[:64] for line in lines}
    parts = backup.manifest.parts if backup.manifest is not None else ()
    sizes = {part.file: part.bytes for part in parts}
    wrong = []
    for name, digest in wanted.items():
        if not file_name(name):
            wrong.append(f"{SUMS} names {name!r}, which is no file of a backup")
            continue
        if backup.manifest is not None and name not in {*sizes, MANIFEST, MAC}:
            wrong.append(f"{name} does not belong to it")
            continue
        try:
            size = (backup.folder / name).lstat().st_size
            if size > sizes.get(name, LONGEST):
                wrong.append(f"{name} is not what was written: it has {size} bytes")
                continue
            if name not in {MANIFEST, MAC} and (backup.manifest is None or not trusted):
                continue
            found = file_sha256(backup.folder / name)
        except FileNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        except OSError as error:
            wrong.append(f"{name} can't be read: {error.strerror}")
            continue
        if found != digest:
            wrong.append(f"{name} is not what was written: its SHA-256 differs")
    listed = {*wanted, SUMS}
    wrong += [f"{part.file} is not in {SUMS}" for part in parts if part.file not in wanted]
    return few(wrong + [f"{name} does not belong to it" for name in there if name not in listed])


def check_part(backup: Backup, part: Part, check: Checker | None) -> tuple[str, ...]:
    """What is wrong with one part: its digest in the manifest, then its content.

    `check` is None for a kind that this techsapo does not know.
    """
    if check is None:
        return (f"this techsapo knows no {part.source}",)
    reader = backup.reader(part)
    try:
        wrong = check(part, reader)
    except OpsError as error:
        return (error.message,)
    if not wrong and reader.sha256 != part.sha256:
        wrong = [f"{part.file} is not the file of the manifest: its SHA-256 differs"]
    return tuple(few(wrong))


def few(sentences: list[str]) -> list[str]:
    """The first of many sentences, and how many more there are."""
    more = len(sentences) - _MOST
    return sentences if more <= 0 else [*sentences[:_MOST], f"and {more:,} more"]


def quick(backup: Backup, checkers: Mapping[str, Checker], at: str) -> Verification:
    """Look at every part of `backup`; `checkers` are by kind."""
    from time import monotonic

    began = monotonic()
    whole = check_sums(backup)
    if backup.manifest is None:
        whole.append(backup.damage)
        return Verification(backup.id, "quick", at, (), tuple(whole), round(monotonic() - began, 3))
    parts = []
    for part in backup.manifest.parts:
        start = monotonic()
        wrong = check_part(backup, part, checkers.get(part.source))
        parts.append(PartResult(part.kind, wrong, round(monotonic() - start, 3)))
    return Verification(backup.id, "quick", at, tuple(parts), tuple(whole), round(monotonic() - began, 3))


def refused(backup: Backup, level: str, origin: Origin, at: str) -> Verification:
    """The verdict on a backup that somebody has changed: nothing of it is looked into."""
    problems = [f"it was tampered with, or is damaged: {origin.why}", *check_sums(backup, trusted=False)]
    if backup.manifest is None:
        problems.append(backup.damage)
    return Verification(backup.id, level, at, (), tuple(problems), authentication=origin.state)


def told(found: Verification, origin: Origin) -> Verification:
    """The verdict with what is known of the backup's origin."""
    why = f" ({origin.why})" if origin.why else ""
    note = "" if origin.state is State.AUTHENTICATED else f"{origin.state}{why}"
    return replace(found, authentication=origin.state, note=note)

"""Looks at a backup without restoring it: digests, redis-check-rdb, last line, listing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from techsapo_ops.adapters.packed import PackedReader, file_sha256
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import SUMS, Backup
from techsapo_ops.errors import OpsError

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

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(part.ok for part in self.parts)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        return (*self.problems, *(f"{p.kind}: {problem}" for p in self.parts for problem in p.problems))


def check_sums(backup: Backup) -> list[str]:
    """What is wrong with a backup's files by SHA256SUMS: missing, added, or other content."""
    path = backup.folder / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return [f"{SUMS} is missing or damaged: the backup can't be trusted"]
    wanted = {line[66:]: line[:64] for line in lines}
    wrong = []
    for name, digest in wanted.items():
        file = backup.folder / name
        if not file.is_file():
            wrong.append(f"{name} is missing")
            continue
        try:
            found = file_sha256(file)
        except OSError as error:
            wrong.append(f"{name} can't be read: {error.strerror}")
            continue
        if found != digest:
            wrong.append(f"{name} is not what was written: its SHA-256 differs")
    listed = {*wanted, SUMS}
    return wrong + [
        f"{p.name} does not belong to it" for p in backup.folder.iterdir() if p.name not in listed
    ]


def check_part(backup: Backup, part: Part, check: Checker) -> tuple[str, ...]:
    """What is wrong with one part: its digest in the manifest, then its content."""
    reader = PackedReader(backup.folder / part.file)
    try:
        wrong = check(part, reader)
    except OpsError as error:
        return (error.message,)
    if not wrong and reader.sha256 != part.sha256:
        wrong = [f"{part.file} is not the file of the manifest: its SHA-256 differs"]
    return tuple(wrong)


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
        file = backup.folder / part.file
        wrong = (
            check_part(backup, part, checkers[part.source]) if file.is_file() else ("its file is missing",)
        )
        parts.append(PartResult(part.kind, wrong, round(monotonic() - start, 3)))
    return Verification(backup.id, "quick", at, tuple(parts), tuple(whole), round(monotonic() - began, 3))

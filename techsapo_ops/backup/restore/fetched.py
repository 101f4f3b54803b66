"""What came back from off-site beside a backup: copies, files of the stack, and the version of then."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic

from techsapo_ops.adapters.packed import file_sha256
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.checks import LEVEL
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.backup.repository.verify import PartResult, few, verify
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.messages import msg
from techsapo_ops.stack.stack import Stack

_APART = frozenset({What.BACKUP, What.KIT, What.COPIES})
"""What is looked at in ways of its own."""


def copies(stack: Stack, copied: Copied, told: Callable[[str, int], None]) -> Iterator[PartResult]:
    """What is off-site alone, a backup like any other: each kind of it that came back, or is here now."""
    folder = copied.of(What.COPIES)
    known: set[str] = set()
    repository = Repository(folder or copied.root, copied.repository.keyring)
    for backup in repository.backups() if folder is not None else ():
        found = verify(stack, repository, backup, LEVEL, told)
        if found.problems:
            yield PartResult("copies", found.problems)
        yield from found.parts
        known |= {part.kind for part in found.parts}
    for kind in registry.kinds():
        if kind.too_secret and kind.name not in known and not isinstance(kind.sources(stack), str):
            yield PartResult(kind.name, note=msg("the stack has it now, and it did not go along"))


def files(copied: Copied) -> PartResult:
    """The spec, secrets, keys, certificates and whatever else lies beside a backup, as it is here."""
    began = monotonic()
    wrong: list[str] = []
    changed = 0
    pairs = [
        (Path(kept.content), copied.at(kept.content))
        for kept in copied.description.kept
        if kept.what not in _APART
    ]
    taken = copied.description.taken
    for here, there in dict.fromkeys(pairs):
        if not os.path.lexists(there):
            if not _since(here, taken):
                wrong.append(msg("{here} did not come back", here=here))
            continue
        for file, copy in _pairs(here, there):
            state = _compared(file, copy, taken)
            if state == "changed":
                changed += 1
            elif state:
                wrong.append(state)
    note = msg("{changed} files are others here since then", changed=changed) if changed else ""
    return PartResult("files", tuple(few(wrong)), round(monotonic() - began, 3), note)


def _pairs(here: Path, there: Path) -> Iterator[tuple[Path, Path]]:
    """Each file here and where its copy is to be; of a folder, those below it."""
    if not here.is_dir():
        yield here, there
        return
    for path in sorted(here.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path, there / path.relative_to(here)


def _compared(here: Path, copy: Path, taken: datetime) -> str:
    """Empty where both are the same, `changed` where the one here is newer, else what is wrong."""
    try:
        if copy.is_symlink() or not copy.is_file():
            return "changed" if _since(here, taken) else msg("{here} did not come back", here=here)
        if not here.exists():
            return "changed"
        if file_sha256(here) == file_sha256(copy):
            return ""
    except OSError as error:
        return msg("{here} can't be compared: {strerror}", here=here, strerror=error.strerror)
    return "changed" if _since(here, taken) else msg("{here} is another than its copy", here=here)


def _since(path: Path, taken: datetime) -> bool:
    """Whether what is at `path` was written after that; what is gone is no loss of the copy's."""
    try:
        facts = path.lstat()
    except OSError:
        return True
    return max(facts.st_mtime, facts.st_ctime) >= taken.timestamp()


def kit(copied: Copied) -> Iterator[PartResult]:
    """The version of then: a wheel that can be unpacked, and the lock of what it needs."""
    began = monotonic()
    folder = copied.of(What.KIT)
    wrong: list[str] = []
    wheels = sorted(folder.glob("techsapo_ops-*.whl")) if folder is not None else []
    if folder is None or len(wheels) != 1:
        wrong.append(msg("the wheel of this version did not come back"))
    else:
        wrong += _wheel(wheels[0])
        locks = sorted(folder.glob("requirements*.lock"))
        if not any(lock.stat().st_size for lock in locks):
            wrong.append(msg("the lock of what the wheel needs did not come back"))
    yield PartResult("wheel", tuple(wrong), round(monotonic() - began, 3))


def _wheel(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as wheel:
            damaged = wheel.testzip()
    except (OSError, EOFError, NotImplementedError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        return [msg("{path} can't be unpacked: {error}", path=path.name, error=error)]
    return [msg("{path} is damaged: {damaged}", path=path.name, damaged=damaged)] if damaged else []

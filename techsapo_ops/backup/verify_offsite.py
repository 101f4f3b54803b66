"""Looks at what is off-site alone: fetches it, restores it as a test, and compares it with what is here.

Everything comes out of the repository: on an empty host there is nothing else.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.packed import file_sha256
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.offsite import for_now
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.repository.folder import Repository, repository_of
from techsapo_ops.backup.repository.records import LEVEL, note_offsite, of_offsite
from techsapo_ops.backup.repository.restic import AwaySnapshot, Restic, restic_of
from techsapo_ops.backup.repository.verify import PartResult, Verification, few, verify
from techsapo_ops.backup.restore.copied import (
    Copied,
    LostCopyError,
    choose,
    copies_of,
    fetch,
    note_copies,
    noted_copies,
    open_copy,
    place_id,
)
from techsapo_ops.backup.telling import write_metrics
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import PROOF_FOLDER
from techsapo_ops.stack.stack import Stack

_READ_ALL = timedelta(days=20)
"""Age of the last reading of the whole repository from which on it is read again: in every third week."""

Say = Callable[[str], None]
PartProgress = Callable[[str, int], None]


def verify_offsite(
    stack: Stack,
    word: str = "latest",
    *,
    wait: float = 0.0,
    say: Say = lambda _: None,
    progress: PartProgress = lambda _kind, _bytes: None,
) -> Verification:
    """Fetch a backup from off-site, restore it as a test, and write the result down.

    What is wrong with the copy is in the result, also where restic can't restore it. Raises OpsError where it
    could not be looked at: nothing is reached, the password is wrong, there is no room.
    """
    away = restic_of(stack)
    if away is None:
        raise OpsError(
            msg("the spec has no backup.offsite, so nothing is off-site"),
            msg('docs/backup.md, "A second place", shows how to set up off-site copies'),
            exit_code=2,
        )
    with exclusive(stack.layout.state / f"{PROOF_FOLDER}.lock", wait=wait, what=msg("the off-site copies")):
        at, began = datetime.now(UTC), monotonic()
        say(msg("contacting {place}", place=_place(away)))
        away.reach()
        ours, unreadable = copies_of(stack, away)
        before = noted_copies(stack, away)
        problems = tuple(filter(None, (unreadable, _gone(before, ours))))
        if not ours and not problems:
            raise OpsError(
                msg("no backup of this stack is off-site"),
                msg("`techsapo backup` makes a backup and copies it off-site"),
            )
        verification = Verification(max(before, default=""), LEVEL, "", (), ())
        if ours:
            snapshot = _chosen(ours, word, stack.spec.project)
            verification = _fetched(stack, away, snapshot, say, progress)
        verification = replace(
            verification,
            level=LEVEL,
            at=at.isoformat(),
            seconds=round(monotonic() - began, 3),
            problems=(*(problems if word == "latest" or not ours else ()), *verification.problems),
        )
        _note(stack, verification, wait)
        if not (verification.ok and _lately_read(stack, away)) and (
            damage := _read_all(stack, away, ours, say, wait)
        ):
            verification = replace(verification, problems=(*verification.problems, damage))
            _note(stack, verification, wait)
        with repository_of(stack).lock(wait):
            since = set(noted_copies(stack, away)).difference(before)
            note_copies(stack, away, (*(copy.backup for copy in ours), *since))
    return verification


def _fetched(
    stack: Stack, away: Restic, snapshot: AwaySnapshot, say: Say, progress: PartProgress
) -> Verification:
    with for_now(stack, PROOF_FOLDER) as folder:
        say(
            msg(
                "fetching {backup} from {time:%Y-%m-%d %H:%M} UTC", backup=snapshot.backup, time=snapshot.time
            )
        )
        return _looked(stack, away, snapshot, folder, progress)


def _note(stack: Stack, verification: Verification, wait: float) -> None:
    look, repository = {**asdict(verification), "ok": verification.ok}, repository_of(stack)
    with repository.lock(wait):
        note_offsite(stack.layout, last=look, **({"good": look} if verification.ok else {}))
        here = next((b for b in repository.backups() if b.id == verification.id), None)
        if here is not None:
            repository.note(here, LEVEL, look)
        write_metrics(stack, repository)


def _place(away: Restic) -> str:
    """The kind of the repository: its address may hold a login."""
    kind, colon, _ = away.repository.partition(":")
    return (
        msg("the {kind} repository", kind=kind)
        if colon
        else msg("the repository {repository}", repository=away.repository)
    )


def _chosen(ours: Sequence[AwaySnapshot], word: str, project: str) -> AwaySnapshot:
    """The newest copy of all that this stack had, or the newest of the backup that `word` begins."""
    if word == "latest":
        return choose(ours, None, project)
    matches = [each for each in ours if each.backup.startswith(word)]
    if not matches:
        raise OpsError(
            msg("no backup {word} of this stack is off-site", word=word),
            msg("`techsapo backup` makes a backup and copies it off-site"),
        )
    return matches[-1]


def _gone(before: Sequence[str], ours: Sequence[AwaySnapshot]) -> str:
    """Of which days copies were there `before` and are no longer, in words; "" for none.

    Who may write to the server needs no password to remove copies, or to put an old repository back.
    """
    lost = sorted(set(before) - {copy.backup for copy in ours})
    days = dict.fromkeys(f"{id_[:4]}-{id_[4:6]}-{id_[6:8]}" for id_ in lost)
    if not days:
        return ""
    return msg(
        "the copies from {days} are gone: somebody removed them, or this is another repository",
        days=", ".join(days),
    )


def _looked(
    stack: Stack, away: Restic, snapshot: AwaySnapshot, folder: Path, progress: PartProgress
) -> Verification:
    """Fetch a copy, and look at what came back as at a backup that was made here."""
    began = monotonic()
    try:
        fetch(away, snapshot.id, folder)
    except LostCopyError as error:
        return Verification(snapshot.backup, LEVEL, "", (), (error.message,))
    fetching = PartResult("fetching", (), round(monotonic() - began, 3))
    try:
        copied = open_copy(folder, snapshot)
    except OpsError as error:
        return Verification(snapshot.backup, LEVEL, "", (fetching,), (error.message,))
    verification = verify(stack, copied.repository, copied.backup, LEVEL, progress)
    here = next((b for b in repository_of(stack).backups() if b.id == copied.backup.id), None)
    problems = verification.problems
    if here is not None and here.digest != copied.backup.digest:
        problems += (msg("the manifest differs from that of the same backup on this host"),)
    parts = (fetching, *verification.parts, *copies(stack, copied, progress), files(copied), *kit(copied))
    return replace(verification, parts=parts, problems=problems)


def _lately_read(stack: Stack, away: Restic) -> bool:
    """Whether every byte of that repository was read, and found right, not long ago."""
    read = of_offsite(stack.layout).get("read", {})
    if not read.get("ok") or read.get("place") != place_id(away):
        return False
    return datetime.now(UTC) - datetime.fromisoformat(read["at"]) < _READ_ALL


def _read_all(stack: Stack, away: Restic, ours: Sequence[AwaySnapshot], say: Say, wait: float) -> str:
    """What is wrong with the bytes of the repository, and which days that touches; empty for nothing.

    The copy that was fetched has a part of them alone; the others are wanted when that one is no good.
    """
    say(msg("reading the whole repository"))
    wrong, touched = away.read_all()
    with repository_of(stack).lock(wait):
        at = datetime.now(UTC).isoformat()
        note_offsite(stack.layout, read={"ok": not wrong, "at": at, "place": place_id(away)})
    if not wrong:
        return ""
    days = sorted({f"{copy.time.astimezone():%Y-%m-%d}" for copy in ours if copy.id in touched})
    return msg(
        "the repository is damaged; affected copies: {days}. restic says: {wrong}",
        days=", ".join(days) or msg("unknown"),
        wrong=wrong,
    )


_APART = frozenset({What.BACKUP, What.KIT, What.COPIES})
"""What is looked at in ways of its own."""


def copies(stack: Stack, copied: Copied, progress: Callable[[str, int], None]) -> Iterator[PartResult]:
    """What is off-site alone, a backup like any other: each kind of it that came back, or is here now."""
    folder = copied.of(What.COPIES)
    known: set[str] = set()
    repository = Repository(folder or copied.root, copied.repository.keyring)
    for backup in repository.backups() if folder is not None else ():
        verification = verify(stack, repository, backup, LEVEL, progress)
        if verification.problems:
            yield PartResult("copies", verification.problems)
        yield from verification.parts
        known |= {part.kind for part in verification.parts}
    for kind in registry.kinds():
        if kind.too_secret and kind.name not in known and not isinstance(kind.sources(stack), str):
            yield PartResult(
                kind.name, note=msg("the stack has this data now, but the copy does not include it")
            )


def files(copied: Copied) -> PartResult:
    """The spec, secrets, keys, certificates and whatever else lies beside a backup, as it is here."""
    began = monotonic()
    wrong: list[str] = []
    changed = 0
    pairs = [
        (Path(item.content), copied.at(item.content))
        for item in copied.description.paths
        if item.what not in _APART
    ]
    taken = copied.description.taken
    for here, there in dict.fromkeys(pairs):
        if not os.path.lexists(there):
            if not _since(here, taken):
                wrong.append(msg("{here} is missing from the copy", here=here))
            continue
        for file, copy in _pairs(here, there):
            state = _compared(file, copy, taken)
            if state == "changed":
                changed += 1
            elif state:
                wrong.append(state)
    note = (
        msg("{changed} files on this host have changed since the copy was made", changed=changed)
        if changed
        else ""
    )
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
            return "changed" if _since(here, taken) else msg("{here} is missing from the copy", here=here)
        if not here.exists():
            return "changed"
        if file_sha256(here) == file_sha256(copy):
            return ""
    except OSError as error:
        return msg("{here} can't be compared: {strerror}", here=here, strerror=error.strerror)
    return "changed" if _since(here, taken) else msg("{here} differs from its copy", here=here)


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
        wrong.append(msg("the wheel of that version is missing from the copy"))
    else:
        wrong += _wheel(wheels[0])
        locks = sorted(folder.glob("requirements*.lock"))
        if not any(lock.stat().st_size for lock in locks):
            wrong.append(msg("the lock file of the wheel is missing from the copy"))
    yield PartResult("wheel", tuple(wrong), round(monotonic() - began, 3))


def _wheel(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as wheel:
            damaged = wheel.testzip()
    except (OSError, EOFError, NotImplementedError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        return [msg("{path} can't be unpacked: {error}", path=path.name, error=error)]
    return [msg("{path} is damaged: {damaged}", path=path.name, damaged=damaged)] if damaged else []

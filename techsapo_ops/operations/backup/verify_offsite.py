"""Looks at what is off-site alone: fetches it, restores it on trial, and compares it with what is here.

Everything comes out of the repository: on an empty host there is nothing else.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from techsapo_ops.adapters.disk import human, room
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.packed import PackedReader, file_sha256, open_plain
from techsapo_ops.backup import description, registry
from techsapo_ops.backup.description import Description, What
from techsapo_ops.backup.offsite import AwaySnapshot, Restic, project_tag, restic_of
from techsapo_ops.backup.origin import Keyring, State
from techsapo_ops.backup.repository import Backup, Repository, repository_of
from techsapo_ops.backup.secret_files import secret_paths
from techsapo_ops.backup.verify import PartResult, Verification, few, refused, verify_deep, with_origin
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup.metrics import write_metrics
from techsapo_ops.operations.backup.offsite import AWAY, for_now, is_whole
from techsapo_ops.operations.backup.proof import LEVEL, note_proof, proofs
from techsapo_ops.stack.layout import PROOF_FOLDER
from techsapo_ops.stack.stack import Stack

_SPARE = 256 * 1024 * 1024
"""Bytes that stay free beside what is fetched: throwaway servers need some, too."""
_NEEDED = (What.BACKUP, What.SPEC, What.BACKUP_KEYS)
"""Without any of these an empty host has no stack again."""
_APART = frozenset({What.BACKUP, What.KIT, What.COPIES})
"""What is looked at in ways of its own."""

Say = Callable[[str], None]
Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A snapshot that lies below `folder`, each path as it was."""

    stack: Stack
    folder: Path
    snapshot: AwaySnapshot
    description: Description | None

    def at(self, path: str) -> Path:
        """Where `path` of the old host is now."""
        return self.folder / path.lstrip("/")

    def of(self, what: What, name: str) -> Path | None:
        """The one path of that kind; by its last name in a copy that does not describe itself."""
        if self.description is not None:
            return next((self.at(kept.content) for kept in self.description.of(what)), None)
        place = self.snapshot.place(name)
        return self.at(place) if place else None


def verify_offsite(
    stack: Stack,
    word: str = "latest",
    *,
    wait: float = 0.0,
    say: Say = lambda _: None,
    told: Told = lambda _kind, _bytes: None,
) -> Verification:
    """Fetch a backup from off-site, restore it on trial, and write the result down.

    What is wrong with the copy is in the result, also where restic can't restore it. Raises OpsError where it
    could not be looked at: nothing is reached, the password is wrong, there is no room.
    """
    away = restic_of(stack)
    if away is None:
        raise OpsError(
            "the spec has no backup.offsite, so nothing is off-site",
            'docs/backup.md, "A second place", shows how to have one',
            exit_code=2,
        )
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    with exclusive(stack.layout.state / f"{PROOF_FOLDER}.lock", wait=wait, what="the off-site copies"):
        began = monotonic()
        say(f"asking {_place(away)}")
        away.reach()
        ours = _ours(stack, away)
        snapshot = _chosen(ours, word)
        with for_now(stack, PROOF_FOLDER) as folder:
            _require_room(away, snapshot, folder)
            say(f"fetching {snapshot.backup} of {snapshot.time:%Y-%m-%d %H:%M} UTC")
            failed = _fetch(away, snapshot, folder)
            fetching = monotonic() - began
            if failed:
                found = Verification(snapshot.backup, LEVEL, at, (), (failed,))
            else:
                found = _looked(stack, snapshot, folder, at, told)
        if word == "latest" and (gone := _gone(stack, ours)):
            found = replace(found, problems=(gone, *found.problems))
        fetched = PartResult("fetching", (), round(fetching, 3))
        found = replace(
            found, level=LEVEL, parts=(fetched, *found.parts), seconds=round(monotonic() - began, 3)
        )
        repository = repository_of(stack)
        with repository.lock(wait):
            note_proof(stack.layout, {**asdict(found), "ok": found.ok})
            here = next((b for b in repository.backups() if b.id == found.id), None)
            if here is not None:
                repository.note(here, LEVEL, {**asdict(found), "ok": found.ok})
            write_metrics(repository, stack.layout)
    return found


def _place(away: Restic) -> str:
    """The kind of the repository: its address may hold a login."""
    kind, colon, _ = away.repository.partition(":")
    return f"the {kind} repository" if colon else f"the repository {away.repository}"


def _ours(stack: Stack, away: Restic) -> list[AwaySnapshot]:
    """The copies of this stack, oldest first. Raises OpsError where there is none."""
    lost: list[str] = []
    known = [found for found in away.snapshots(damaged=lost.extend) if found.backup]
    if lost:  # the newest may be among them, and an older one would be proven in its place
        raise OpsError(
            f"{len(lost)} of the repository's copies can't be read: {', '.join(lost[:4])}",
            "`restic check` tells more, and restic's manual how to repair it",
        )
    tag, place = project_tag(stack.spec.project), str(repository_of(stack).path.resolve())
    # Two stacks may share a repository; a copy of before 0.2 is told by its path.
    ours = [
        found
        for found in known
        if tag in found.tags or (not found.project and any(path.startswith(place) for path in found.paths))
    ]
    if not ours:
        raise OpsError(
            f"no backup of this stack is off-site: the repository has {len(known)} copies of others",
            "`techsapo backup` copies one there",
        )
    return ours


def _chosen(ours: Sequence[AwaySnapshot], word: str) -> AwaySnapshot:
    """The newest copy of all that this stack had, or the newest of the backup that `word` begins."""
    if word == "latest":
        return next((found for found in reversed(ours) if found.whole), ours[-1])
    found = [each for each in ours if each.backup.startswith(word)]
    if not found:
        raise OpsError(f"no backup {word} of this stack is off-site", "`techsapo backup` copies one there")
    return found[-1]


def _gone(stack: Stack, ours: Sequence[AwaySnapshot]) -> str:
    """What was copied there last and is no longer there, in words; "" for nothing.

    Who may write to the server needs no password to remove copies, or to put an old repository back.
    """
    repository = repository_of(stack)
    copied = {
        backup.id
        for backup in repository.ours()
        if repository.checks(backup).get("offsite", {}).get("ok") and is_whole(backup)
    }
    copied |= {found["good"]["id"] for found in (proofs(stack.layout),) if "good" in found}
    there = {found.backup for found in ours}
    newest = max(copied, default="")
    if not newest or newest in there or newest < max(there):
        return ""
    return (
        f"{newest}, which went off-site, is no longer there: somebody removed it, or the repository is an "
        "older one"
    )


def _require_room(away: Restic, snapshot: AwaySnapshot, folder: Path) -> None:
    needed, free = away.size(snapshot.id), room(folder).free_bytes
    if needed + _SPARE > free:
        raise OpsError(
            f"{snapshot.backup} takes {human(needed)} to look at, and {folder.parent} has {human(free)} free",
            "make room there: it is unpacked in the state directory, and removed afterwards",
        )


def _fetch(away: Restic, snapshot: AwaySnapshot, folder: Path) -> str:
    """Fetch it; returns why the repository can't give it back.

    Raises OpsError where that is not the repository's fault.
    """
    try:
        away.restore(snapshot.id, folder)
    except OpsError as error:
        if "no space left" in error.message.lower():
            raise
        away.reach()  # else it is the way there that has failed
        return f"it does not come back: {error.message}"
    return ""


def _looked(stack: Stack, snapshot: AwaySnapshot, folder: Path, at: str, told: Told) -> Verification:
    """What was found out about what came back."""
    try:
        fetched = _Fetched(stack, folder, snapshot, _described(folder, snapshot))
        backup, repository = _backup_in(fetched)
    except OpsError as error:
        return Verification(snapshot.backup, LEVEL, at, (), (error.message,))
    origin = repository.origin(backup)
    if origin.state is State.TAMPERED:
        return refused(backup, LEVEL, origin, at)
    found = with_origin(verify_deep(stack, backup, at, told), origin)
    here = next((b for b in repository_of(stack).backups() if b.id == backup.id), None)
    problems = list(found.problems)
    if here is not None and here.digest != backup.digest:
        problems.append("its manifest is another than that of the same backup here")
    parts = (*found.parts, *_copies(fetched), _files(fetched), *_kit(fetched))
    notes = [found.note]
    if fetched.description is None:
        notes.append("it was copied by a version before 0.2, and does not describe itself")
    return replace(
        found, parts=parts, problems=tuple(problems), note="; ".join(filter(None, notes))
    )  # fmt: skip


def _described(folder: Path, snapshot: AwaySnapshot) -> Description | None:
    """What the copy says of itself; None for one of before 0.2. Raises OpsError for a damaged one."""
    place = snapshot.place(description.FOLDER)
    if not place:
        return None
    file = folder / place.lstrip("/") / description.FILE
    try:
        with open_plain(file) as opened:
            data = opened.read(description.LONGEST + 1)
    except OSError as error:
        raise OpsError(f"its description can't be read: {error.strerror}") from None
    found = description.read(data, "its description")
    if found.backup != snapshot.backup:
        raise OpsError(f"its description is that of another backup, {found.backup}")
    lacking = [what for what in _NEEDED if not found.of(what)]
    if lacking:
        raise OpsError(f"its description names no {' and no '.join(lacking)}")
    return found


def _backup_in(fetched: _Fetched) -> tuple[Backup, Repository]:
    """The backup that came back, by the keys that came with it. Raises OpsError."""
    place = fetched.of(What.BACKUP, fetched.snapshot.backup)
    keys = fetched.of(What.BACKUP_KEYS, fetched.stack.layout.backup_keys.name)
    if place is None or keys is None:
        raise OpsError("it has no backup in it" if place is None else "it has no key of the backups in it")
    for path in (place, keys):
        # A link would lead to what is here, and prove nothing of what is there.
        if not path.is_dir() or path.resolve() != fetched.folder.resolve() / path.relative_to(fetched.folder):
            raise OpsError(f"{path.name} did not come back")
    repository = Repository(place.parent, Keyring(keys))
    found = next((backup for backup in repository.backups() if backup.id == fetched.snapshot.backup), None)
    if found is None:
        raise OpsError(f"it holds no backup {fetched.snapshot.backup}")
    return found, repository


def _copies(fetched: _Fetched) -> Iterator[PartResult]:
    """What is off-site alone: each kind of it that this stack has now, or that came back."""
    folder = fetched.of(What.COPIES, AWAY)
    for kind in registry.kinds():
        if not kind.too_secret:
            continue
        began = monotonic()
        try:
            part = kind.fetched(folder) if folder is not None else None
        except OpsError as error:
            there = any(folder.glob(f"{kind.name}-*")) if folder is not None else False
            problem, part = (error.message if there else ""), None
        else:
            problem = ""
        if part is None:
            if problem:
                yield PartResult(kind.name, (problem,), round(monotonic() - began, 3))
            elif not isinstance(kind.sources(fetched.stack), str):
                note = "the stack has it now, and it did not go along"
                yield PartResult(kind.name, (), round(monotonic() - began, 3), note)
            continue
        assert folder is not None  # noqa: S101 - a part was in it
        reader = PackedReader(folder / part.file, limit=part.raw_bytes, expected=part.sha256)
        wrong = kind.check(fetched.stack, part, reader)
        yield PartResult(kind.name, tuple(few(wrong)), round(monotonic() - began, 3))


def _files(fetched: _Fetched) -> PartResult:
    """The spec, secrets, keys, certificates and whatever else lies beside a backup, as it is here."""
    began = monotonic()
    wrong: list[str] = []
    changed = 0
    if fetched.description is not None:
        pairs = [
            (Path(kept.content), fetched.at(kept.content))
            for kept in fetched.description.kept
            if kept.what not in _APART
        ]
    else:
        own = [fetched.stack.layout.spec_file, *secret_paths(fetched.stack)]
        pairs = [(path.resolve(), fetched.at(str(path.resolve()))) for path in own]
    taken = fetched.description.taken if fetched.description is not None else fetched.snapshot.time
    for here, there in dict.fromkeys(pairs):
        if not os.path.lexists(there):
            if not _since(here, taken):
                wrong.append(f"{here} did not come back")
            continue
        for file, copy in _pairs(here, there):
            state = _compared(file, copy, taken)
            if state == "changed":
                changed += 1
            elif state:
                wrong.append(state)
    note = f"{changed} files are others here since then" if changed else ""
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
            return "changed" if _since(here, taken) else f"{here} did not come back"
        if not here.exists():
            return "changed"
        if file_sha256(here) == file_sha256(copy):
            return ""
    except OSError as error:
        return f"{here} can't be compared: {error.strerror}"
    return "changed" if _since(here, taken) else f"{here} is another than its copy"


def _since(path: Path, taken: datetime) -> bool:
    """Whether what is at `path` was written after that; what is gone is no loss of the copy's."""
    try:
        facts = path.lstat()
    except OSError:
        return True
    return max(facts.st_mtime, facts.st_ctime) >= taken.timestamp()


def _kit(fetched: _Fetched) -> Iterator[PartResult]:
    """The version of then: a wheel that can be unpacked, and the lock of what it needs."""
    if fetched.description is None:
        return
    began = monotonic()
    folder = fetched.of(What.KIT, "")
    wrong: list[str] = []
    wheels = sorted(folder.glob("techsapo_ops-*.whl")) if folder is not None else []
    if folder is None or len(wheels) != 1:
        wrong.append("the wheel of this version did not come back")
    else:
        wrong += _wheel(wheels[0])
        locks = sorted(folder.glob("requirements*.lock"))
        if not any(lock.stat().st_size for lock in locks):
            wrong.append("the lock of what the wheel needs did not come back")
    yield PartResult("wheel", tuple(wrong), round(monotonic() - began, 3))


def _wheel(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as wheel:
            damaged = wheel.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return [f"{path.name} can't be unpacked: {error}"]
    return [f"{path.name} is damaged: {damaged}"] if damaged else []

"""Looks at what is off-site alone: fetches it, restores it on trial, and compares it with what is here.

Everything comes out of the repository: on an empty host there is nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from techsapo_ops.adapters.disk import human, room
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.backup.description import Description, What
from techsapo_ops.backup.offsite import AwaySnapshot, Restic, project_tag, restic_of
from techsapo_ops.backup.origin import Keyring, State
from techsapo_ops.backup.repository import Backup, Repository, repository_of
from techsapo_ops.backup.verify import PartResult, Verification, refused, verify_deep, with_origin
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.backup.fetched import Fetched, copies, files, kit
from techsapo_ops.operations.backup.metrics import write_metrics
from techsapo_ops.operations.backup.offsite import for_now, is_whole
from techsapo_ops.operations.backup.proof import LEVEL, note_proof, proofs
from techsapo_ops.operations.backup.tree import Tree
from techsapo_ops.stack.layout import PROOF_FOLDER
from techsapo_ops.stack.stack import Stack

_SPARE = 256 * 1024 * 1024
"""Bytes that stay free beside what is fetched: throwaway servers need some, too."""
_NEEDED = (What.BACKUP, What.SPEC, What.BACKUP_KEYS)
"""Without any of these an empty host has no stack again."""

Say = Callable[[str], None]
Told = Callable[[str, int], None]


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
            msg("the spec has no backup.offsite, so nothing is off-site"),
            msg('docs/backup.md, "A second place", shows how to have one'),
            exit_code=2,
        )
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    with exclusive(stack.layout.state / f"{PROOF_FOLDER}.lock", wait=wait, what=msg("the off-site copies")):
        began = monotonic()
        say(msg("asking {place}", place=_place(away)))
        away.reach()
        ours = _ours(stack, away)
        snapshot = _chosen(ours, word)
        with for_now(stack, PROOF_FOLDER) as folder:
            _require_room(away, snapshot, folder)
            say(
                msg(
                    "fetching {backup} of {time:%Y-%m-%d %H:%M} UTC",
                    backup=snapshot.backup,
                    time=snapshot.time,
                )
            )
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
    return (
        msg("the {kind} repository", kind=kind)
        if colon
        else msg("the repository {repository}", repository=away.repository)
    )


def _ours(stack: Stack, away: Restic) -> list[AwaySnapshot]:
    """The copies of this stack, oldest first. Raises OpsError where there is none."""
    lost: list[str] = []
    known = [found for found in away.snapshots(damaged=lost.extend) if found.backup]
    if lost:  # the newest may be among them, and an older one would be proven in its place
        raise OpsError(
            msg(
                "{count} of the repository's copies can't be read: {lost}",
                count=len(lost),
                lost=", ".join(lost[:4]),
            ),
            msg("`restic check` tells more, and restic's manual how to repair it"),
        )
    tag = project_tag(stack.spec.project)  # several stacks may share a repository
    ours = [found for found in known if tag in found.tags]
    if not ours:
        raise OpsError(
            msg(
                "no backup of this stack is off-site: the repository has {count} copies of others",
                count=len(known),
            ),
            msg("`techsapo backup` copies one there"),
        )
    return ours


def _chosen(ours: Sequence[AwaySnapshot], word: str) -> AwaySnapshot:
    """The newest copy of all that this stack had, or the newest of the backup that `word` begins."""
    if word == "latest":
        return next((found for found in reversed(ours) if found.whole), ours[-1])
    found = [each for each in ours if each.backup.startswith(word)]
    if not found:
        raise OpsError(
            msg("no backup {word} of this stack is off-site", word=word),
            msg("`techsapo backup` copies one there"),
        )
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
    return msg(
        "{newest}, which went off-site, is no longer there: somebody removed it, or the "
        "repository is an older one",
        newest=newest,
    )


def _require_room(away: Restic, snapshot: AwaySnapshot, folder: Path) -> None:
    needed, free = away.size(snapshot.id), room(folder).free_bytes
    if needed + _SPARE > free:
        raise OpsError(
            msg(
                "{backup} takes {needed} to look at, and {parent} has {free} free",
                backup=snapshot.backup,
                needed=human(needed),
                parent=folder.parent,
                free=human(free),
            ),
            msg("make room there: it is unpacked in the state directory, and removed afterwards"),
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
        return msg("it does not come back: {message}", message=error.message)
    return ""


def _looked(stack: Stack, snapshot: AwaySnapshot, folder: Path, at: str, told: Told) -> Verification:
    """What was found out about what came back."""
    try:
        fetched = Fetched(stack, folder, snapshot, _described(folder, snapshot))
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
        problems.append(msg("its manifest is another than that of the same backup here"))
    parts = (*found.parts, *copies(fetched), files(fetched), *kit(fetched))
    return replace(found, parts=parts, problems=tuple(problems))


def _described(folder: Path, snapshot: AwaySnapshot) -> Description:
    """What the copy says of itself. Raises OpsError for what is damaged, or lets no empty host go by it."""
    found = Tree(folder).description(snapshot)
    if found.backup != snapshot.backup:
        raise OpsError(msg("its description is that of another backup, {backup}", backup=found.backup))
    lacking = [what for what in _NEEDED if not found.of(what)]
    if lacking:
        raise OpsError(msg("its description names no {lacking}", lacking=", ".join(lacking)))
    return found


def _backup_in(fetched: Fetched) -> tuple[Backup, Repository]:
    """The backup that came back, by the keys that came with it. Raises OpsError."""
    place = fetched.of(What.BACKUP)
    keys = fetched.of(What.BACKUP_KEYS)
    if place is None or keys is None:
        raise OpsError(
            msg("it has no backup in it") if place is None else msg("it has no key of the backups in it")
        )
    for path in (place, keys):
        # A link would lead to what is here, and prove nothing of what is there.
        if not Tree(fetched.folder).is_plain(path, folder=True):
            raise OpsError(msg("{path} did not come back", path=path.name))
    repository = Repository(place.parent, Keyring(keys))
    found = next((backup for backup in repository.backups() if backup.id == fetched.snapshot.backup), None)
    if found is None:
        raise OpsError(msg("it holds no backup {backup}", backup=fetched.snapshot.backup))
    return found, repository

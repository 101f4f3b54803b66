"""A copy out of the off-site repository: which one, brought here whole, and where in it everything is.

Recovery, verification and drills begin with this; from the backup's folder on, all is as with one that was
made here.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shlex
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.adapters.resources import human, room
from techsapo_ops.backup.describing import install_commands
from techsapo_ops.backup.repository import description
from techsapo_ops.backup.repository.description import FILE, FOLDER, LONGEST, Description, NewerError, What
from techsapo_ops.backup.repository.folder import Backup, Repository
from techsapo_ops.backup.repository.origin import Keyring
from techsapo_ops.backup.repository.records import note_offsite, of_offsite
from techsapo_ops.backup.repository.restic import AwaySnapshot, Restic
from techsapo_ops.backup.repository.verify import faults
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.stack import Stack

_SPARE = 256 * 1024 * 1024
"""Bytes that stay free beside what is fetched: servers need some, too."""
_NEEDED = (What.BACKUP, What.SPEC, What.BACKUP_KEYS)
"""Without any of these an empty host has no stack again."""


class LostCopyError(OpsError):
    """The repository is there, and can't give a copy back."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below `root`, which anybody may have made: each path of the old host, as it was there."""

    root: Path

    def at(self, path: str | Path) -> Path:
        """Where `path` of the old host is now."""
        return self.root / str(path).lstrip("/")

    def holds(self, path: str | Path, *, folder: bool) -> bool:
        """Whether `path` of the old host is a regular file here, or a `folder`.

        A link on the way to it, or `..`, would lead to what is on this host.
        """
        place = self.at(path)
        if ".." in place.parts:
            return False
        try:
            kinds = [stat.S_IFMT(each.lstat().st_mode) for each in (*reversed(place.parents), place)]
        except (OSError, ValueError):
            return False
        below = len(self.root.parts)
        wanted = stat.S_IFDIR if folder else stat.S_IFREG
        return all(kind == stat.S_IFDIR for kind in kinds[below:-1]) and kinds[-1] == wanted


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy below `root`, and its backup in the `repository` of the keys that came along."""

    root: Path
    description: Description
    repository: Repository
    backup: Backup

    def at(self, content: str) -> Path:
        """Where what was `content` on the old host lies here."""
        return Tree(self.root).at(content)

    def of(self, what: What) -> Path | None:
        """The one path of that kind; None where there is none, such as no copies of what is secret."""
        return next((self.at(item.content) for item in self.description.of(what)), None)


def copies_of(stack: Stack, away: Restic) -> tuple[list[AwaySnapshot], str]:
    """The copies of this stack, oldest first, and a warning where some can't be read. Raises OpsError."""
    lost: list[str] = []
    known = away.snapshots(damaged=lost.extend)
    # Several stacks may share a repository.
    ours = [each for each in known if each.backup and each.project == stack.spec.project]
    if not lost:
        return ours, ""
    some = ", ".join(lost[:4])
    return ours, msg("{count} of the repository's copies can't be read: {lost}", count=len(lost), lost=some)


def noted_copies(stack: Stack, away: Restic) -> tuple[str, ...]:
    """The backups of which copies were in that repository when it was last written to, or looked at."""
    noted = of_offsite(stack.layout).get("there", {})
    return tuple(noted["ids"]) if noted.get("place") == place_id(away) else ()


def note_copies(stack: Stack, away: Restic, ids: Iterable[str]) -> None:
    """Note which those are now. Raises OpsError."""
    note_offsite(stack.layout, there={"place": place_id(away), "ids": sorted(set(ids))})


def place_id(away: Restic) -> str:
    """What a repository is known by in notes: its address may hold a login."""
    return hashlib.sha256(away.repository.encode()).hexdigest()


def choose(snapshots: Sequence[AwaySnapshot], at: datetime | None, project: str) -> AwaySnapshot:
    """The newest whole copy of `project`, made at `at` at the latest. `snapshots` are oldest first.

    Raises OpsError where there is none, and where `project` is empty and there are several.
    """
    if not snapshots:
        raise OpsError(
            msg("the repository holds no copy of a stack"),
            msg("`restic snapshots` lists what the repository holds"),
        )
    projects = sorted({each.project for each in snapshots if each.project})
    if not project and len(projects) > 1:
        raise OpsError(
            msg("the repository holds several stacks: {projects}", projects=", ".join(projects)),
            msg("add e.g. --project {projects}", projects=projects[0]),
        )
    mine = [each for each in snapshots if not project or each.project == project]
    if not mine:
        raise OpsError(
            msg("the repository holds no copy of stack {project}", project=project),
            msg("the repository has copies of {projects}", projects=", ".join(projects)),
        )
    early = [each for each in mine if at is None or each.time <= at]
    if not early:
        first = f"{mine[0].time.astimezone():%Y-%m-%d %H:%M:%S}"
        raise OpsError(
            msg("there is no copy from that time or earlier"),
            msg("the oldest copy is from {first}: pass a later --at", first=first),
        )
    whole = [each for each in early if each.whole]
    if not whole:
        raise OpsError(
            msg("every copy has only part of the data: all were made by `backup --only` or by a restore"),
            msg("`restic restore` fetches the files that are there (docs/backup.md)"),
        )
    return whole[-1]


def fetch(away: Restic, snapshot: str, folder: Path) -> None:
    """Bring a copy into the private `folder`. What a killed fetch has left there is gone on with.

    Raises LostCopyError where it does not come whole though the repository answers, and OpsError where that
    says nothing of the copy: no room, nothing reached, another restic at work.
    """
    try:
        needed = away.size(snapshot)
    except OpsError as error:
        raise _why(away, folder, error) from None
    free = room(folder).free_bytes
    if needed + _SPARE > free:
        raise OpsError(
            msg(
                "the copy needs {size}, but {folder} has only {free} free",
                size=human(needed),
                folder=folder.parent,
                free=human(free),
            ),
            msg("make room there; nothing was fetched"),
        )
    try:
        away.restore(snapshot, folder)
    except OpsError as error:
        raise _why(away, folder, error) from None


def _why(away: Restic, folder: Path, error: OpsError) -> OpsError:
    """The error for a copy that did not arrive. Raises OpsError where it is the way there that has failed."""
    if "no space left" in error.message.lower():
        return OpsError(
            msg("the disk of {folder} is full: the copy is incomplete", folder=folder.parent),
            msg("make room, then run the same command again"),
        )
    if "already locked" in error.message:
        return error
    away.reach()
    return LostCopyError(
        msg("the repository is incomplete, and so is the fetched copy: {why}", why=error.message),
        msg(
            "an older copy may be complete. `restic check` shows what is wrong; restic's manual explains how "
            "to repair the repository"
        ),
    )


def open_copy(root: Path, snapshot: AwaySnapshot, elsewhere: Path | None = None) -> Copied:
    """What was fetched into `root`: it describes itself, and everything that it names is there.

    `elsewhere` is where the backup's folder has been moved to already. Raises OpsError for what is damaged,
    or is newer than this version can read; that names the wheel which came along.
    """
    described: Description | None = None
    try:
        described = _description(Tree(root), snapshot)
        _require_plain(Tree(root), described, moved=elsewhere is not None)
        copied = _opened(Tree(root), described, elsewhere)
        if _version(described.tool) > _version(__version__):
            raise NewerError(
                msg(
                    "the copy was made by a newer techsapo ({tool}, this one is {version})",
                    tool=described.tool,
                    version=__version__,
                ),
                msg("use that version of techsapo"),
            )
        copied.backup.read()
        return copied
    except NewerError as error:
        kits = sorted(root.rglob("techsapo_ops-*.whl"))
        if not kits:
            raise
        tracing = described is not None and described.tracing
        commands = install_commands(shlex.quote(str(kits[-1].parent)), tracing=tracing)
        raise OpsError(
            msg(
                "{message}\nthe copy includes the version of techsapo that made it: {name}",
                message=error.message,
                name=kits[-1].name,
            ),
            msg(
                "in a virtual environment, run {commands}; then run the same `techsapo recover` again",
                commands="; ".join(commands),
            ),
        ) from None


def require_whole(copied: Copied) -> None:
    """Raise OpsError where its backup is not as it was written: what `backup verify` begins with, too."""
    if wrong := faults(copied.backup, copied.repository.origin(copied.backup)):
        raise OpsError(
            msg("backup {id} did not arrive intact: {wrong}", id=copied.backup.id, wrong=joined("; ", wrong)),
            msg('choose another copy with --at; see docs/backup.md, "Whose backup it is"'),
        )


def _description(tree: Tree, snapshot: AwaySnapshot) -> Description:
    """What the copy says of itself. Raises OpsError where it says nothing, or what is damaged."""
    place = snapshot.place(FOLDER)
    another = msg("choose another copy with --at, or restore the files by hand (docs/backup.md)")
    if not place:
        raise OpsError(msg("the copy {id} has no description", id=snapshot.id[:8]), another)
    try:
        if not tree.holds(place, folder=True):
            raise OSError(errno.ENOTDIR, msg("it is not a folder"))
        with open_plain(tree.at(place) / FILE) as file:
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise OpsError(
            msg("the copy's description can't be read: {strerror}", strerror=error.strerror), another
        ) from None
    described = description.read(data, msg("{file} of the copy", file=FILE))
    if snapshot.backup and described.backup != snapshot.backup:
        raise OpsError(
            msg("the copy's description belongs to another backup, {backup}", backup=described.backup),
            another,
        )
    return described


def _require_plain(tree: Tree, described: Description, *, moved: bool) -> None:
    """Raise OpsError where the copy has not what its description names, or has it twice."""
    for what in _NEEDED:
        if len(described.of(what)) != 1:
            raise OpsError(
                msg(
                    "the copy's description has {count} entries for {what} instead of one",
                    count=len(described.of(what)),
                    what=what,
                ),
                msg("choose another copy with --at"),
            )
    for item in described.paths:
        if moved and item.what == What.BACKUP:
            continue
        kind = "folder" if item.folder else "file"
        if not tree.holds(item.content, folder=item.folder):
            raise OpsError(
                msg(
                    "the copy lacks the {kind} {content}, or has a link in its place",
                    kind=kind,
                    content=item.content,
                ),
                msg("choose another copy with --at, or restore the files by hand (docs/backup.md)"),
            )


def _opened(tree: Tree, described: Description, elsewhere: Path | None) -> Copied:
    """The backup that came along, by the keys that came along: an empty host has no others."""
    folder, keys = (tree.at(described.of(what)[0].content) for what in (What.BACKUP, What.BACKUP_KEYS))
    if elsewhere is not None and not folder.exists():
        folder = elsewhere
    repository = Repository(folder.parent, Keyring(keys))
    backup = next((each for each in repository.backups() if each.id == described.backup), None)
    if backup is None or folder.name != described.backup:
        raise OpsError(
            msg("the copy holds no backup {folder}", folder=described.backup),
            msg("choose another copy with --at"),
        )
    return Copied(tree.root, described, repository, backup)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d{1,9}", text)[:3]))

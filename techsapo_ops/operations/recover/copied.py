"""A copy as it was fetched: what it says of itself, and where in it everything is."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.backup.description import Description, What
from techsapo_ops.backup.offsite import AwaySnapshot
from techsapo_ops.backup.origin import Keyring, Origin, State
from techsapo_ops.backup.repository import Backup, Repository
from techsapo_ops.backup.verify import check_sums
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.backup.kit import install_commands
from techsapo_ops.operations.backup.tree import Tree


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy below `root`."""

    root: Path
    description: Description
    backup: Backup
    origin: Origin

    def at(self, content: str) -> Path:
        """Where what was `content` on the old host lies here."""
        return Tree(self.root).at(content)

    @property
    def copies(self) -> Path | None:
        """The folder with what goes off-site alone, such as Grafana's database."""
        found = self.description.of(What.COPIES)
        return self.at(found[0].content) if found else None

    @property
    def kit(self) -> Path | None:
        """The folder with the wheel of the version of then."""
        found = self.description.of(What.KIT)
        return self.at(found[0].content) if found else None


def read_copy(root: Path, snapshot: AwaySnapshot, elsewhere: Path | None = None) -> Copied:
    """What was fetched into `root`, looked at in whole: description, manifest, digests, MAC.

    `elsewhere` is where the backup's folder has been moved to already. Raises OpsError for what is damaged,
    was tampered with, or is newer than this version can read; that names the wheel which came along.
    """
    tree = Tree(root)
    kits = sorted(root.rglob("techsapo_ops-*.whl"))
    description: Description | None = None
    try:
        description = tree.description(snapshot)
        folder = _backup_folder(tree, description)
        if elsewhere is not None and not folder.exists():
            folder = elsewhere
        elif not tree.is_plain(folder, folder=True):
            raise OpsError(
                msg("{folder} did not come back", folder=folder.name), msg("choose another one with --at")
            )
        _require_plain(tree, description, moved=elsewhere is not None)
        backup = next((each for each in Repository(folder.parent).backups() if each.id == folder.name), None)
        if backup is None:
            raise OpsError(
                msg("the copy holds no backup {folder}", folder=folder.name),
                msg("choose another one with --at"),
            )
        tool = description.tool
        if _version(tool) > _version(__version__):
            raise OpsError(
                msg(
                    "the copy was made by a newer techsapo ({tool}, this one is {version})",
                    tool=tool,
                    version=__version__,
                ),
                msg("use that version"),
            )
        backup.read()
    except OpsError as error:
        if "newer techsapo" in error.message and kits:
            commands = install_commands(
                shlex.quote(str(kits[-1].parent)), tracing=description is not None and description.tracing
            )
            raise OpsError(
                msg(
                    "{message}\nthe version of then came along: {name}",
                    message=error.message,
                    name=kits[-1].name,
                ),
                msg(
                    "in a virtual environment: {commands}; then the same `techsapo recover` again",
                    commands="; ".join(commands),
                ),
            ) from None
        raise
    if wrong := check_sums(backup):
        raise OpsError(
            msg("{id} did not come whole: {wrong}", id=backup.id, wrong=joined("; ", wrong)),
            msg("choose another one with --at"),
        )
    keys = next((tree.at(kept.content) for kept in description.of(What.BACKUP_KEYS)), None)
    ring = Keyring(keys) if keys is not None else None
    origin = (
        Repository(folder.parent, ring).origin(backup)
        if ring is not None
        else Origin(State.UNAUTHENTICATED, msg("no key of backups came along"))
    )
    if origin.state is State.TAMPERED:
        raise OpsError(
            msg(
                "{id} was tampered with before it went off-site, or is damaged: {why}",
                id=backup.id,
                why=origin.why,
            ),
            msg('choose another one with --at; docs/backup.md, "Whose backup it is"'),
        )
    return Copied(root, description, backup, origin)


def _require_plain(tree: Tree, described: Description, *, moved: bool) -> None:
    """Raise OpsError where the copy has not what its description names, or has it twice."""
    for what in (What.SPEC, What.BACKUP):
        if len(described.of(what)) != 1:
            raise OpsError(
                msg(
                    "the copy's description names {count} of {what}, not one",
                    count=len(described.of(what)),
                    what=what,
                ),
                msg("choose another one with --at"),
            )
    for kept in described.kept:
        if moved and kept.what == What.BACKUP:
            continue
        kind = "folder" if kept.folder else "file"
        if not tree.holds(kept.content, folder=kept.folder):
            raise OpsError(
                msg(
                    "the copy has no {kind} {content}, or a link in its place",
                    kind=kind,
                    content=kept.content,
                ),
                msg("choose another one with --at, or bring the files back by hand (docs/backup.md)"),
            )


def _backup_folder(tree: Tree, described: Description) -> Path:
    found = described.of(What.BACKUP)
    if not found:
        raise OpsError(msg("the copy holds no backup"), msg("choose another one with --at"))
    return tree.at(found[0].content)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d{1,9}", text)[:3]))

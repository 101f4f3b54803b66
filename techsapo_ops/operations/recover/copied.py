"""A copy as it was fetched: what it says of itself, and where in it everything is."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.backup.description import NOT_TAKEN, Description, Kept, What
from techsapo_ops.backup.offsite import AwaySnapshot
from techsapo_ops.backup.origin import Keyring, Origin, State
from techsapo_ops.backup.repository import Backup, Repository
from techsapo_ops.backup.verify import check_sums
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.backup.kit import install_commands
from techsapo_ops.operations.backup.offsite import AWAY
from techsapo_ops.operations.backup.tree import Tree
from techsapo_ops.spec.edition import FIRST

_STATE_FOLDERS = {
    "keys": What.KEYS,
    "backup-keys": What.BACKUP_KEYS,
    "acme": What.ACME,
    AWAY: What.COPIES,
}
"""What a copy of before 0.2 holds of the state directory that is of use elsewhere."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy below `root`. `described` is False for one of before 0.2, of which `description` was guessed."""

    root: Path
    description: Description
    backup: Backup
    origin: Origin
    described: bool

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
    described: Description | None = None
    try:
        described = tree.description(snapshot)
        folder = _backup_folder(tree, described, snapshot)
        if elsewhere is not None and not folder.exists():
            folder = elsewhere
        elif not tree.is_plain(folder, folder=True):
            raise OpsError(
                msg("{folder} did not come back", folder=folder.name), msg("choose another one with --at")
            )
        if described is not None:
            _require_plain(tree, described, moved=elsewhere is not None)
        backup = next((each for each in Repository(folder.parent).backups() if each.id == folder.name), None)
        if backup is None:
            raise OpsError(
                msg("the copy holds no backup {folder}", folder=folder.name),
                msg("choose another one with --at"),
            )
        tool = described.tool if described is not None else backup.read().tool
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
                shlex.quote(str(kits[-1].parent)), tracing=described is not None and described.tracing
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
    description = described or _guessed(tree, snapshot, backup)
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
    return Copied(root, description, backup, origin, described is not None)


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


def _backup_folder(tree: Tree, described: Description | None, snapshot: AwaySnapshot) -> Path:
    if described is not None:
        found = [kept.content for kept in described.of(What.BACKUP)]
    else:
        found = [path for path in snapshot.paths if snapshot.backup and Path(path).name == snapshot.backup]
    if not found:
        raise OpsError(msg("the copy holds no backup"), msg("choose another one with --at"))
    return tree.at(found[0])


def _guessed(tree: Tree, snapshot: AwaySnapshot, backup: Backup) -> Description:
    """The description that a copy of before 0.2 lacks, by the paths that restic was given."""
    manifest = backup.read()
    state = next(
        (
            Path(*path.parts[: path.parts.index(STATE_DIRECTORY) + 1])
            for path in map(Path, snapshot.paths)
            if STATE_DIRECTORY in path.parts
        ),
        None,
    )
    specs = [
        path
        for path in map(Path, snapshot.paths)
        if path.suffix in {".yaml", ".yml"} and tree.holds(path, folder=False)
    ]
    spec = next((p for p in specs if state is None or p.parent == state.parent), None)
    if spec is None:
        raise OpsError(
            msg(
                "the copy {id} is of before 0.2, and which of its files is the spec can't be told",
                id=snapshot.id[:8],
            ),
            msg("fetch it with restic and bring it back by hand (docs/backup.md)"),
        )
    state = state or spec.parent / STATE_DIRECTORY
    return Description(
        backup=backup.id,
        project=manifest.project,
        taken=snapshot.time.astimezone(UTC),
        tool=manifest.tool,
        build="",
        python="",
        engine=manifest.engine,
        edition=FIRST,
        environment=None,
        host=snapshot.host,
        user="",
        directory=str(spec.parent),
        spec=spec.name,
        state=str(state),
        schedule="",
        tracing=False,
        servers={part.kind: part.server for part in manifest.parts if part.server},
        kept=tuple(_guess_kept(tree, snapshot, state, spec)),
        left={
            **NOT_TAKEN,
            **manifest.left_out,
            "record of administration": msg("a version before 0.2 left it out"),
        },
    )


def _guess_kept(tree: Tree, snapshot: AwaySnapshot, state: Path, spec: Path) -> Iterator[Kept]:
    for path in map(Path, snapshot.paths):
        if path == spec:
            what = What.SPEC
        elif path.name == snapshot.backup:
            what = What.BACKUP
        elif path == spec.parent / ".env":
            what = What.VARIABLES
        elif path.is_relative_to(state):
            if path.parent != state or path.name not in _STATE_FOLDERS:
                continue  # certificates without their chains, and what `up` makes anew
            what = _STATE_FOLDERS[path.name]
        else:
            what = What.SECRET
        if not (tree.holds(path, folder=False) or tree.holds(path, folder=True)):
            continue  # restic kept a link itself then
        facts = tree.at(path).lstat()
        named = str(path) if what is What.SECRET else ""
        yield Kept(
            str(path), str(path), what, stat.S_ISDIR(facts.st_mode), stat.S_IMODE(facts.st_mode) & 0o777,
            facts.st_uid, facts.st_gid, named=named,
        )  # fmt: skip


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d{1,9}", text)[:3]))

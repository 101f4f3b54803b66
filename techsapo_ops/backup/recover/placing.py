"""Where each file of a copy belongs on this host, and putting it there: nothing is ever overwritten."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.folders import STATE_DIRECTORY, opened
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.adapters.resources import existing
from techsapo_ops.backup.repository.description import CopiedPath, Description, What
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path

BESIDE = "recovered"
"""Folder beside the spec for what can't be put where it was."""
MODES = 0o775
"""Of all that is placed: neither setuid nor what others may write."""
_NOWHERE = frozenset({What.COPIES, What.KIT, What.SPEC})
"""What is used where it was fetched, and the spec, which is written with its changes."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A file or folder of the copy, and where it goes.

    `why` says why that is elsewhere than it was; `there` that it is there already, the same.
    """

    item: CopiedPath
    source: Path
    target: Path
    why: str = ""
    there: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """All of them, and what the spec has to name in place of what it named."""

    placements: tuple[Placement, ...]
    repointed: Mapping[str, str]

    @property
    def backup(self) -> Placement:
        """That of the backup's folder."""
        return next(each for each in self.placements if each.item.what == What.BACKUP)

    def outside(self, into: Path) -> tuple[Placement, ...]:
        """Those that are written outside of the stack's folder `into`."""
        return tuple(p for p in self.placements if not p.there and not p.target.is_relative_to(into))

    @property
    def moved(self) -> tuple[Placement, ...]:
        """Those that lie elsewhere than they were."""
        return tuple(each for each in self.placements if each.why)


def places_in(copied: Copied, into: Path, made: frozenset[str] = frozenset()) -> Places:
    """Where everything belongs in a stack in the folder `into`, an absolute path without links.

    `made` is what this recovery has put outside the state directory already. Raises OpsError where something
    else is in a place inside `into`.
    """
    placements: list[Placement] = []
    repointed: dict[str, str] = {}
    taken: set[Path] = set()
    for item in copied.description.paths:
        if item.what in _NOWHERE:
            continue
        source = copied.at(item.content)
        why, there = "", False
        try:
            target, outside = _target(item, copied.description, into)
        except OpsError as no_home:
            why, target = no_home.message, _beside(item, into, taken)
            repointed[item.named] = _named(item, target, into)
            taken.add(target)
            placements.append(Placement(item, source, target, why))
            continue
        if not outside:
            named = user_path(item.named)
            if item.named and named.is_absolute() and named != target:
                repointed[item.named] = _named(item, target, into)
                why = msg("formerly {path}, in the old folder of the stack", path=item.path)
        elif str(target) not in made:
            if os.path.lexists(target):
                there = _same(source, target)
                why = (
                    ""
                    if there
                    else msg(
                        "a different {which} is at {target}",
                        which=msg("folder") if item.folder else msg("file"),
                        target=target,
                    )
                )
            elif not item.named:
                # Of what the spec does not name nothing says that it belongs there: /etc/cron.d is as good.
                why = msg("formerly {path}, which the spec does not name", path=item.path)
            elif not os.access(existing(target.parent), os.W_OK | os.X_OK):
                why = msg("this user can't write to {existing}", existing=existing(target.parent))
            if why:
                target = _beside(item, into, taken)
                if item.named:
                    repointed[item.named] = _named(item, target, into)
        taken.add(target)
        placements.append(Placement(item, source, target, why, there))
    return Places(tuple(placements), repointed)


def _named(item: CopiedPath, target: Path, into: Path) -> str:
    """How the spec names `target`."""
    place = target.parent if item.what == What.BACKUP else target
    return str(place.relative_to(into)) if place.is_relative_to(into) else str(place)


def _target(item: CopiedPath, description: Description, into: Path) -> tuple[Path, bool]:
    """Where it belongs, and whether that is outside of the stack's folder.

    Raises OpsError where the spec names it below the home folder of a user whom this host does not have.
    """
    path, directory, state = Path(item.path), Path(description.directory), Path(description.state)
    if item.named:
        named = user_path(item.named)
        target = Path(os.path.normpath(into / named))
        if named.is_absolute() and named.is_relative_to(directory) and directory != into:
            target = into / named.relative_to(directory)
        if item.what == What.BACKUP:
            target /= description.backup
        return target, not target.is_relative_to(into)
    if path.is_relative_to(state):
        return into / STATE_DIRECTORY / path.relative_to(state), False
    if path.is_relative_to(directory):
        return into / path.relative_to(directory), False
    return path, True


def _beside(item: CopiedPath, into: Path, taken: set[Path]) -> Path:
    if item.what == What.BACKUP:
        return into / "backups" / Path(item.path).name
    name = Path(item.path).name
    target, number = into / BESIDE / name, 2
    while target in taken:
        target = into / BESIDE / f"{number}-{name}"
        number += 1
    return target


def _same(source: Path, target: Path) -> bool:
    """Whether both are the same file, or folders of which the second has all files of the first."""
    if target.is_symlink():
        target = target.resolve()
    if source.is_file():
        return target.is_file() and filecmp.cmp(source, target, shallow=False)
    below = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    return target.is_dir() and all(
        (target / name).is_file() and filecmp.cmp(source / name, target / name, shallow=False)
        for name in below
    )


def put(placement: Placement, prepared: Path, into: Path, making: Callable[[Path], None]) -> list[str]:
    """Put one where it belongs, as this user's; returns the names of links that were left out.

    `making` gets the path before it is made. A file that is there was put there before, or came with a
    folder. A folder appears whole, by a rename out of `prepared`, a private folder on the disk of `into`.
    Raises OpsError where it can't be written.
    """
    target, item = placement.target, placement.item
    making(target)
    try:
        if item.folder and (os.path.lexists(target) or not target.is_relative_to(into)):
            return _each(placement)
        if os.path.lexists(target):
            return []
        if not item.folder:
            with placement.source.open("rb") as content:
                NoFollowFile(target).put(content, item.mode & MODES)
            return []
        if prepared.exists():
            shutil.rmtree(prepared)
        if item.what == What.BACKUP and _one_disk(placement.source, prepared.parent):
            os.rename(placement.source, prepared)  # noqa: PTH104 - as below
            links: list[str] = []
        else:
            links = _copy(placement.source, prepared)
        _own(prepared)
        with opened(target.parent, make=0o700 if item.what == What.BACKUP else 0o755):
            pass
        os.rename(prepared, target)  # noqa: PTH104 - of a folder: it fails where one with content is
        return links
    except OSError as error:
        raise cannot_write(target, error) from None


def _one_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _copy(source: Path, target: Path) -> list[str]:
    """Copy a folder with its modes; links that lead out of it are left out, and their names returned."""
    left = []
    target.mkdir(mode=0o700)
    for path, facts in _below(source):
        name = path.relative_to(source)
        if stat.S_ISDIR(facts.st_mode):
            (target / name).mkdir(mode=0o700)
        elif stat.S_ISREG(facts.st_mode):
            shutil.copyfile(path, target / name, follow_symlinks=False)
            (target / name).chmod(facts.st_mode & MODES)
        elif stat.S_ISLNK(facts.st_mode) and _stays(path.readlink()):
            (target / name).symlink_to(path.readlink())
        else:
            left.append(str(name))
    folders = [(path, facts) for path, facts in _below(source) if stat.S_ISDIR(facts.st_mode)]
    for path, facts in (*reversed(folders), (source, source.lstat())):
        (target / path.relative_to(source)).chmod(facts.st_mode & MODES)
    return left


def _stays(link: Path) -> bool:
    """Whether a link leads to what is beside or below it."""
    return not link.is_absolute() and ".." not in link.parts


def _each(placement: Placement) -> list[str]:
    """Put each file of a folder on its own; those that are there stay."""
    left = []
    for path, facts in _below(placement.source):
        name = path.relative_to(placement.source)
        if stat.S_ISREG(facts.st_mode):
            file = NoFollowFile(placement.target / name)
            if file.look() is None:
                with path.open("rb") as content:
                    file.put(content, facts.st_mode & MODES)
        elif not stat.S_ISDIR(facts.st_mode):
            left.append(str(name))
    return left


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All that is in `folder`, a folder before what is in it; no link is followed."""
    for where, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            path = Path(where) / name
            yield path, path.lstat()


def _own(folder: Path) -> None:
    """Make this user the owner, where restic as root kept the old host's numbers."""
    if os.geteuid() != 0:
        return
    for path in (folder, *(path for path, _ in _below(folder))):
        os.chown(path, 0, 0, follow_symlinks=False)


def require_free(places: Places, made: frozenset[str]) -> None:
    """Raise OpsError where something is in the place of what is to be put into the stack's folder."""
    for each in places.placements:
        if not each.there and str(each.target) not in made and os.path.lexists(each.target):
            raise OpsError(
                msg("{target} already exists, and nothing is overwritten", target=each.target),
                msg("move it elsewhere, or choose another folder with --into"),
            )

"""A snapshot as it was fetched: each path of the old host, below a folder of this one."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.backup import description
from techsapo_ops.backup.description import FILE, FOLDER, LONGEST, Description
from techsapo_ops.backup.offsite import AwaySnapshot
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below `root`, which anybody may have made."""

    root: Path

    def at(self, path: str | Path) -> Path:
        """Where `path` of the old host is now."""
        return self.root / str(path).lstrip("/")

    def holds(self, path: str | Path, *, folder: bool) -> bool:
        """Whether `path` of the old host is a regular file here, or a `folder`.

        A link on the way to it, or `..`, would lead to what is on this host.
        """
        return self.is_plain(self.at(path), folder=folder)

    def is_plain(self, path: Path, *, folder: bool) -> bool:
        """The same of a path of this host, below `root`."""
        if ".." in path.parts:
            return False
        try:
            kinds = [stat.S_IFMT(each.lstat().st_mode) for each in (*reversed(path.parents), path)]
        except (OSError, ValueError):
            return False
        below = len(self.root.parts)
        wanted = stat.S_IFDIR if folder else stat.S_IFREG
        return all(kind == stat.S_IFDIR for kind in kinds[below:-1]) and kinds[-1] == wanted

    def description(self, snapshot: AwaySnapshot) -> Description:
        """What the copy says of itself. Raises OpsError where it says nothing, or what is damaged."""
        place = snapshot.place(FOLDER)
        if not place:
            raise OpsError(
                msg("the copy {id} does not describe itself", id=snapshot.id[:8]),
                msg("choose another one with --at, or bring the files back by hand (docs/backup.md)"),
            )
        try:
            if not self.holds(place, folder=True):
                raise OSError(errno.ENOTDIR, msg("it is no folder"))
            with open_plain(self.at(place) / FILE) as file:
                data = file.read(LONGEST + 1)
        except OSError as error:
            raise OpsError(
                msg("the copy's description can't be read: {strerror}", strerror=error.strerror),
                msg("choose another one with --at"),
            ) from None
        return description.read(data, msg("{file} of the copy", file=FILE))

"""Who may change a file: its owner and its mode, and those of every folder and link on the way to it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_MOST_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A folder that `techsapo trust add` allowed: these users and groups may change what is in it."""

    folder: Path
    users: frozenset[int]
    groups: frozenset[int]

    def covers(self, path: Path) -> bool:
        """Whether `path` is the folder, in it, or on the way to it."""
        return _related(path, self.folder)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason why root does not use `path`: `users` or `groups` may change it, or `everyone`."""

    path: Path
    why: str
    scope: Path
    """The folder that would have to be allowed."""
    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    everyone: bool = False
    is_link: bool = False
    cure: str = ""

    def __str__(self) -> str:
        return msg("{path} {why}", path=self.path, why=self.why)


@dataclass(slots=True)
class Judge:
    """Looks at paths, each part of them once, and collects doubts."""

    users: frozenset[int]
    allowed: Sequence[Allowed]
    scope: Path = Path("/")
    doubts: list[Doubt] = field(default_factory=list)
    _seen: dict[tuple[str, bool], os.stat_result | None] = field(default_factory=dict)

    def way(self, path: Path) -> None:
        """Look at `path` and every folder on the way to it, through links; what is missing is passed over."""
        pending = list(reversed(path.parts[1:]))
        here, links = "/", 0
        self.look(here, passed=bool(pending))
        while pending:
            part = pending.pop()
            if part == "..":
                here = os.path.dirname(here)  # noqa: PTH120 - plain strings: this runs at every command
                continue
            there = f"{here.rstrip('/')}/{part}"
            facts = self.look(there, passed=bool(pending))
            if facts is None:
                return
            if not stat.S_ISLNK(facts.st_mode):
                here = there
                continue
            links += 1
            if links > _MOST_LINKS:
                return
            target = os.readlink(there)  # noqa: PTH115 - see above
            here = "/" if target.startswith("/") else here
            pending += [p for p in reversed(target.split("/")) if p not in {"", "."}]

    def look(self, path: str, *, passed: bool = False) -> os.stat_result | None:
        """Look at one file, folder or link; `passed` is a folder that is only passed through."""
        if (path, passed) in self._seen:
            return self._seen[path, passed]
        try:
            facts = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            facts = None
        except OSError as error:
            raise _blind(path, error) from None
        self._seen[path, passed] = facts
        if facts is not None:
            self._judge(Path(path), facts, passed=passed)
        return facts

    def _judge(self, path: Path, facts: os.stat_result, *, passed: bool) -> None:
        covering = [a for a in self.allowed if a.covers(path)]
        users = self.users.union(*(a.users for a in covering))
        mode = stat.S_IMODE(facts.st_mode)
        is_link = stat.S_ISLNK(facts.st_mode)
        if facts.st_uid not in users:
            why = msg(
                "is owned by {user_name} (mode {mode:04o})", user_name=user_name(facts.st_uid), mode=mode
            )
            # A user's home is not to become root's because a project lies in it.
            on_the_way = self.scope != path and self.scope.is_relative_to(path)
            cure = "" if on_the_way else f"chown {'-h ' if is_link else ''}root {path}"
            self._doubt(path, why, cure, users=frozenset({facts.st_uid}), is_link=is_link)
        # What others put into a sticky folder is theirs, and the next part of the path tells whose that is.
        if is_link or (passed and mode & stat.S_ISVTX and stat.S_ISDIR(facts.st_mode)):
            return
        if mode & 0o002:
            self._doubt(
                path,
                msg("can be written by everyone (mode {mode:04o})", mode=mode),
                "" if mode & stat.S_ISVTX else f"chmod o-w {path}",  # nobody wants that of /tmp
                everyone=True,
            )
            return
        if not mode & 0o020 or any(facts.st_gid in a.groups for a in covering):
            return
        if not (_members(facts.st_gid) <= users) or _has_acl(path):
            why = msg(
                "can be written by the group {group_name} (mode {mode:04o})",
                group_name=group_name(facts.st_gid),
                mode=mode,
            )
            self._doubt(path, why, f"chmod g-w {path}", groups=frozenset({facts.st_gid}))

    def _doubt(self, path: Path, why: str, cure: str, **facts: Any) -> None:
        scopes = (s for s in (self.scope, Path(sys.base_prefix)) if _related(path, s))
        doubt = Doubt(path, why, next(scopes, path), cure=cure, **facts)
        if all(str(doubt) != str(known) for known in self.doubts):
            self.doubts.append(doubt)

    def inside(self, top: str, *, also: Callable[[], frozenset[int]] = frozenset) -> None:
        """Look for what an earlier owner of the folder `top` has left in it; `also` tells who else may.

        Whoever owns a file goes on changing it, whoever owns the folder by now.
        """
        users = self.users.union(*(a.users for a in self.allowed if a.covers(Path(top))))
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = f"{folder}/{name}"
                try:
                    uid = os.lstat(path).st_uid
                except FileNotFoundError:  # a temporary file
                    continue
                if uid not in users and (path, False) not in self._seen and uid not in also():
                    why, cure = (
                        msg("is owned by {user_name}", user_name=user_name(uid)),
                        f"chown -R root {top}",
                    )
                    self._doubt(Path(path), why, cure, users=frozenset({uid}))
                    return


def user_name(uid: int, *, short: bool = False) -> str:
    """A user as people know it."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return msg("uid {uid}", uid=uid)
    return name if short else msg("{name} (uid {uid})", name=name, uid=uid)


def group_name(gid: int) -> str:
    """A group as people know it."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return msg("gid {gid}", gid=gid)


def _members(gid: int) -> frozenset[int]:
    """Users of a group: a user's private group has that one, Debian's `staff` mostly none; -1: unknown."""
    found = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return frozenset({-1})
    for name in names:
        try:
            found.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            found.add(-1)
    return frozenset(found)


def _has_acl(path: Path) -> bool:
    """Whether more users than the mode tells may write: the group's bits are then an access list's mask."""
    try:
        os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
    except OSError:  # it has none
        return False
    return True


def _related(path: Path, scope: Path) -> bool:
    return path.is_relative_to(scope) or scope.is_relative_to(path)


def _blind(path: Path | str, error: OSError) -> OpsError:
    return OpsError(
        msg("cannot look at {path}: {strerror}", path=path, strerror=error.strerror),
        msg("root must be able to, to tell whose it is"),
    )


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in `folder`, by name; nothing where it is not there. Raises OpsError where it can't be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _blind(folder, error) from None

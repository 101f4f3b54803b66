"""Which files a user may rely on, by the rule of OpenSSH's StrictModes (auth_secure_path in misc.c).

Whoever may write a program, a spec, a template, the state directory or Python decides what this tool does
with the rights of who runs it. So each of them, each folder above it and each link on the way must belong to
a trusted user, and nobody else may write it. A sticky folder such as /tmp may lie above: what others put into
it is theirs, and the next part of the path shows whose that is. A group may write whose members are all
trusted.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

TRUSTED_USERS = Path("/etc/techsapo/trusted-users")
"""A user a line, by name, or by number where there is none; root's own, readable by all."""
_SHOWN = 4
_MOST_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why `path` is not used. `verb` and `target` are the command that helps, `owner` the user to blame."""

    path: Path
    why: str
    verb: str
    target: Path
    owner: int | None = None

    def __str__(self) -> str:
        return msg("{path} {why}", path=self.path, why=self.why)

    @property
    def fix(self) -> str:
        """The chmod or chown that helps; empty where none does."""
        return _command(self.verb, [self]) if self.verb else ""


class UntrustedError(OpsError):
    """Others could change what is about to be used: `faults` say where. `also` is another way out."""

    def __init__(self, faults: Sequence[Fault], also: str = "") -> None:
        more = len(faults) - _SHOWN
        reasons = joined("; ", map(str, faults[:_SHOWN])) + (
            msg("; and {more} more", more=more) if more > 0 else ""
        )
        super().__init__(
            msg("files that other users can change are not used: {reasons}", reasons=reasons),
            joined("; or ", [way for way in (*_ways(faults), also) if way]),
        )
        self.faults = tuple(faults)


class StrictModes:
    """Judges paths for a user who relies on those of `trusted`; `faults` is what it found."""

    def __init__(self, trusted: frozenset[int]) -> None:
        self.trusted = trusted
        self.faults: list[Fault] = []
        self._seen: dict[tuple[str, bool], os.stat_result | None] = {}
        self._groups: dict[int, bool] = {}

    def judge(self, path: Path) -> None:
        """Judge `path` and every folder and link on the way to it.

        What is missing is passed over where nobody else could put it there.
        """
        pending = list(reversed(path.absolute().parts[1:]))
        here, links = "/", 0
        self._look(here, last=not pending)
        while pending:
            part = pending.pop()
            if part == "..":
                here = os.path.dirname(here)  # noqa: PTH120 - plain strings: this runs at every command
                continue
            there = f"{here.rstrip('/')}/{part}"
            facts = self._look(there, last=not pending)
            if facts is None:
                break
            if not stat.S_ISLNK(facts.st_mode):
                here = there
                continue
            links += 1
            if links > _MOST_LINKS:
                return
            target = os.readlink(there)  # noqa: PTH115 - see above
            here = "/" if target.startswith("/") else here
            pending += [p for p in reversed(target.split("/")) if p not in {"", "."}]
        # Where the path ends: also by `..`, and where a name is missing that others could put there.
        self._look(here, last=True)

    def tree(self, top: Path, also: Callable[[], frozenset[int]] | None = None) -> None:
        """Judge the folder `top` and all that is in it: an earlier owner goes on writing what was left there.

        With `also`, which tells who else may own what is in it, links in it are not followed. The first
        fault inside is enough: the command that helps is about the whole folder.
        """
        self.judge(top)
        pending, seen = [top.resolve()], set[Path]()
        while pending:
            top = pending.pop()
            if top in seen:
                continue
            seen.add(top)
            before = len(self.faults)
            pending += self._inside(top, also)
            if len(self.faults) > before:
                return

    def _inside(self, top: Path, also: Callable[[], frozenset[int]] | None) -> list[Path]:
        """Judge all that is in the folder `top`, up to a fault; the folders that links in it lead to."""
        linked: list[Path] = []
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = f"{folder}/{name}"
                try:
                    facts = os.lstat(path)
                except OSError:  # a temporary file, or in a folder that is closed to this user
                    continue
                before = len(self.faults)
                if facts.st_uid not in self.trusted and (also is None or facts.st_uid not in also()):
                    self._blame(Path(path), facts, whole=top)
                elif stat.S_ISLNK(facts.st_mode):
                    if also is None:
                        self.judge(Path(path))
                        linked += [Path(path).resolve()] if name in folders else []
                elif facts.st_mode & 0o022 and not stat.S_ISSOCK(facts.st_mode):
                    self._writable(Path(path), facts, whole=top)
                if len(self.faults) > before:
                    return linked
        return linked

    def require(self, also: str = "") -> None:
        """Raise UntrustedError where anything was found."""
        if self.faults:
            raise UntrustedError(self.faults, also)

    def _look(self, path: str, *, last: bool) -> os.stat_result | None:
        if (path, last) in self._seen:
            return self._seen[path, last]
        try:
            facts = os.lstat(path)
        except OSError:  # not there, or closed to this user, who then can't use it either
            facts = None
        self._seen[path, last] = facts
        if facts is not None:
            self._judge(Path(path), facts, last=last)
        return facts

    def _judge(self, path: Path, facts: os.stat_result, *, last: bool) -> None:
        if facts.st_uid not in self.trusted:
            self._blame(path, facts)
        sticky = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX and not last
        if facts.st_mode & 0o022 and not stat.S_ISLNK(facts.st_mode) and not sticky:
            self._writable(path, facts)

    def _blame(self, path: Path, facts: os.stat_result, *, whole: Path | None = None) -> None:
        uid, mode = facts.st_uid, stat.S_IMODE(facts.st_mode)
        why = msg(
            "is owned by {user_name} (mode {mode:04o})", user_name=user_name(uid, short=True), mode=mode
        )
        option = "-R " if whole else "-h " if stat.S_ISLNK(facts.st_mode) else ""
        verb = "" if _is_home(path, uid) else f"chown {option}{_account(os.geteuid())}"
        self._add(Fault(path, why, verb, whole or path, uid))

    def _writable(self, path: Path, facts: os.stat_result, *, whole: Path | None = None) -> None:
        mode, gid = stat.S_IMODE(facts.st_mode), facts.st_gid
        group = bool(mode & 0o020) and (not self._has_trusted_members(gid) or _has_acl(path))
        if mode & 0o002:
            why = msg("is writable by everyone (mode {mode:04o})", mode=mode)
        elif group:
            why = msg(
                "is writable by the group {group_name} (mode {mode:04o})",
                group_name=group_name(gid),
                mode=mode,
            )
        else:
            return
        who = ("g" if group else "") + ("o" if mode & 0o002 else "")
        # Nobody wants to close /tmp.
        verb = "" if mode & stat.S_ISVTX else f"chmod {'-R ' if whole else ''}{who}-w"
        self._add(Fault(path, why, verb, whole or path))

    def _has_trusted_members(self, gid: int) -> bool:
        if gid not in self._groups:
            self._groups[gid] = _members(gid) <= self.trusted
        return self._groups[gid]

    def _add(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)


def _ways(faults: Sequence[Fault]) -> list[str]:
    """What to try, the command that helps first."""
    root = os.geteuid() == 0
    verbs = dict.fromkeys(fault.verb for fault in faults if fault.verb)
    commands = [_command(verb, [f for f in faults if f.verb == verb]) for verb in verbs]
    ways = []
    if len(commands) and all(fault.verb for fault in faults):
        ways.append(joined(", ", [f"`{command}`" for command in commands]))
    else:
        ways.append(msg("move the files to a place where nobody else can write, such as /srv"))
    owners = {fault.owner for fault in faults if fault.owner is not None}
    if root and all(fault.owner is not None for fault in faults):
        names = " ".join(sorted(map(_account, owners)))
        ways.append(
            msg(
                "add {names} to {file}: root then uses the files of these users, so they can act as root",
                names=names,
                file=TRUSTED_USERS,
            )
        )
    if len(owners) == 1:
        # Of what is another user's, that is more often meant than to take it.
        run = msg("run it as {user_name}", user_name=user_name(next(iter(owners)), short=True))
        ways.insert(len(ways) if root else 0, run)
    return ways


def _command(verb: str, faults: Iterable[Fault]) -> str:
    targets = dict.fromkeys(fault.target for fault in faults)
    mine = verb.startswith("chmod") and all(_owned(target) for target in targets)
    sudo = "" if os.geteuid() == 0 or mine else "sudo "
    return f"{sudo}{verb} {' '.join(shlex.quote(str(target)) for target in targets)}"


def _owned(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def _is_home(path: Path, uid: int) -> bool:
    """Whether it is the home of its owner, who needs it."""
    try:
        return pwd.getpwuid(uid).pw_dir == str(path)
    except KeyError:
        return False


def user_name(uid: int, *, short: bool = False) -> str:
    """A user as people know it."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return msg("uid {uid}", uid=uid)
    return name if short else msg("{name} (uid {uid})", name=name, uid=uid)


def _account(uid: int) -> str:
    """A user as commands take it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """A group as people know it."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return msg("gid {gid}", gid=gid)


def _members(gid: int) -> frozenset[int]:
    """Users of a group: a user's private group has that one, Debian's `staff` mostly none; -1: unknown."""
    import grp

    uids = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return frozenset({-1})
    for name in names:
        try:
            uids.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            uids.add(-1)
    return frozenset(uids)


def _has_acl(path: Path) -> bool:
    """Whether more users than the mode tells may write: the group's bits are then an access list's mask."""
    try:
        os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
    except OSError:  # it has none
        return False
    return True

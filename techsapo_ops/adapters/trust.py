"""Which files root may rely on: those that nobody can change but root and whom root trusts.

Who may write a spec, a template, the state directory or the program itself decides what root does with them.
So as root the tool looks at each of them, and at every folder on the way from `/`, before it reads any: each
must be owned by a trusted user and writable by no other. That is what OpenSSH's StrictModes asks of
~/.ssh/authorized_keys (auth_secure_path in misc.c) and git's safe.directory of a repository (git-config(1)).

Trusted are root, as git does the user that `SUDO_UID` names, and for a folder of `trusted-folders.json` the
users and groups that stand there with it.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import techsapo_ops
from techsapo_ops.adapters.folders import may_be_link
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.layout import OVERRIDES, STATE_DIRECTORY

TRUSTED_FOLDERS = Path("/etc/techsapo/trusted-folders.json")
"""What `techsapo trust` writes; root's own, readable by all."""
_MOST_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""
_SHOWN = 4
_OF_SERVICES = {"data", "scratch"}
"""Below these in the state directory each folder is some service's own; root opens them by descriptor."""
_SUDO_UID = re.compile(r"[0-9]{1,10}")
_NO_UID = 2**32 - 1


class UntrustedError(OpsError):
    """Root does not use a folder that others may change."""


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
        return f"{self.path} {self.why}"


@dataclass(slots=True)
class _Judge:
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
            why = f"is owned by {user_name(facts.st_uid)} (mode {mode:04o})"
            # A user's home is not to become root's because a project lies in it.
            on_the_way = self.scope != path and self.scope.is_relative_to(path)
            cure = "" if on_the_way else f"chown {'-h ' if is_link else ''}root {path}"
            self._doubt(path, why, cure, users=frozenset({facts.st_uid}), is_link=is_link)
        # What others put into a sticky folder is theirs, and the next part of the path tells whose that is.
        if is_link or (passed and mode & stat.S_ISVTX and stat.S_ISDIR(facts.st_mode)):
            return
        if mode & 0o002:
            self._doubt(
                path, f"can be written by everyone (mode {mode:04o})", f"chmod o-w {path}", everyone=True
            )
            return
        if not mode & 0o020 or any(facts.st_gid in a.groups for a in covering):
            return
        if not (_members(facts.st_gid) <= users) or _has_acl(path):
            why = f"can be written by the group {group_name(facts.st_gid)} (mode {mode:04o})"
            self._doubt(path, why, f"chmod g-w {path}", groups=frozenset({facts.st_gid}))

    def _doubt(self, path: Path, why: str, cure: str, **facts: Any) -> None:
        scopes = (s for s in (self.scope, Path(sys.base_prefix)) if _related(path, s))
        doubt = Doubt(path, why, next(scopes, path), cure=cure, **facts)
        if all(str(doubt) != str(known) for known in self.doubts):
            self.doubts.append(doubt)

    def spec(self, spec: Path) -> None:
        """Look at a spec and at what the tool takes or keeps beside it."""
        self.way(spec)
        self.way(spec.parent / ".env")
        for path in _below(spec.parent / OVERRIDES):
            self.way(path)
        self.state(spec.parent / STATE_DIRECTORY)

    def state(self, state: Path) -> None:
        """Look at a state directory and the tool's own folders in it; services own what is in `data`."""
        self.way(state)
        for top in _entries(state):
            if top.is_dir(follow_symlinks=False):
                self.look(top.path)
                for inner in _entries(Path(top.path)):
                    self._below_state(inner, (top.name, inner.name))
            else:
                self._below_state(top, (top.name,))

    def _below_state(self, entry: os.DirEntry[str], names: tuple[str, ...]) -> None:
        if entry.is_symlink():
            if may_be_link(names):
                self.look(entry.path)
                leads_to = Path(entry.path).resolve()
                self.way(leads_to.parent if names[0] == "data" and len(names) == 2 else leads_to)
            elif names[0] != "certs":  # a certificate in use is a link of ours
                why, cure = "is a symbolic link, which root does not follow there", f"rm {entry.path}"
                self._doubt(Path(entry.path), why, cure, is_link=True, everyone=True)
        elif names[0] not in _OF_SERVICES and (entry.is_dir(follow_symlinks=False) or len(names) == 1):
            self.look(entry.path)


def root_doubts(spec: Path | None, *, others: Iterable[Path] = ()) -> tuple[Doubt, ...]:
    """Why root should not use the project of `spec`, or this program; nothing for others than root.

    `spec` is an absolute path without links, of a file that need not be there. `others` are further files
    or folders that root is about to use.
    """
    if os.geteuid() != 0:
        return ()
    judge = _Judge(trusted_users(os.environ), read_allowed())
    for scope, path in _program():
        judge.scope = scope
        judge.way(path)
    if spec is not None:
        judge.scope = spec.parent
        judge.spec(spec)
    for path in others:
        judge.scope = path
        judge.way(path)
    return tuple(judge.doubts)


def require_trust(spec: Path | None, *, others: Iterable[Path] = ()) -> None:
    """Raise UntrustedError where root_doubts finds anything."""
    if doubts := root_doubts(spec, others=others):
        raise refusal(doubts)


def refusal(doubts: Sequence[Doubt]) -> UntrustedError:
    """The error for `doubts`: what is wrong where, and how to make it right or allow it."""
    more = len(doubts) - _SHOWN
    reasons = "; ".join(map(str, doubts[:_SHOWN])) + (f"; and {more} more" if more > 0 else "")
    owners = {uid for doubt in doubts for uid in doubt.users}
    ways = [f"run it as {user_name(next(iter(owners)), short=True)}"] if len(owners) == 1 else []
    if not any(doubt.everyone for doubt in doubts):
        scopes = {doubt.scope for doubt in doubts}
        outer = sorted(s for s in scopes if not any(s != o and s.is_relative_to(o) for o in scopes))
        ways.append("trust whoever may change it: " + ", ".join(f"`{add_command(s)}`" for s in outer))
    cures = [doubt.cure for doubt in doubts]
    if more > 0 or not all(cures):
        ways.append("move it where root alone may write, such as /srv")
    else:
        ways.append("make it safe: " + ", ".join(f"`{cure}`" for cure in cures))
    return UntrustedError(f"root does not use what others may change: {reasons}", "; or ".join(ways))


def add_command(folder: Path) -> str:
    """What allows `folder`."""
    import shlex

    return f"techsapo trust add {shlex.quote(str(folder))}"


def trusted_users(environment: Mapping[str, str]) -> frozenset[int]:
    """Root, and whoever became root by sudo: who may run anything as root can change its files anyway.

    `SUDO_UID` counts as git counts it: where the process is root's own and the value is a user's number.
    """
    value = environment.get("SUDO_UID", "")
    if os.getuid() != 0 or not _SUDO_UID.fullmatch(value) or int(value) >= _NO_UID:
        return frozenset({0})
    return frozenset({0, int(value)})


def read_allowed() -> tuple[Allowed, ...]:
    """The folders of `trusted-folders.json`, sorted.

    Raises OpsError where the file is damaged, or where others than root may write it.
    """
    try:
        text = TRUSTED_FOLDERS.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(f"cannot read {TRUSTED_FOLDERS}: {error}", "look at it, or remove it") from None
    judge = _Judge(frozenset({0}), ())
    judge.way(TRUSTED_FOLDERS)
    if judge.doubts:
        raise OpsError(
            f"{TRUSTED_FOLDERS} says whom root trusts, but {judge.doubts[0]}", f"`{judge.doubts[0].cure}`"
        )
    try:
        entries = json.loads(text)["folders"]
        return tuple(
            Allowed(Path(e["folder"]), frozenset(map(int, e["users"])), frozenset(map(int, e["groups"])))
            for e in entries
        )
    except (ValueError, KeyError, TypeError):
        raise OpsError(
            f"{TRUSTED_FOLDERS} is damaged", "remove it, and allow your folders again: `techsapo trust add`"
        ) from None


def write_allowed(allowed: Iterable[Allowed]) -> None:
    """Replace `trusted-folders.json`. Raises OpsError when it can't be written."""
    from techsapo_ops.adapters.files import write_atomic

    entries = [
        {"folder": str(a.folder), "users": sorted(a.users), "groups": sorted(a.groups)}
        for a in sorted(allowed, key=lambda a: str(a.folder))
    ]
    try:
        TRUSTED_FOLDERS.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise OpsError(f"cannot make {TRUSTED_FOLDERS.parent}: {error.strerror}") from None
    write_atomic(TRUSTED_FOLDERS, (json.dumps({"version": 1, "folders": entries}, indent=1) + "\n").encode())


def allow(folder: Path) -> Allowed | None:
    """Allow the folder `folder`, with all that specs in it bring and a Python environment in it.

    Whoever may change them now is written down with it: an owner that comes later is refused. Returns None,
    and writes nothing, where root alone may change them. Raises OpsError for a folder that is not there, and
    for what everyone may write.
    """
    try:
        real = folder.resolve(strict=True)
    except OSError as error:
        raise OpsError(f"there is no folder {folder}: {error.strerror}") from None
    if not real.is_dir():
        raise OpsError(f"{real} is no folder", "name the folder that the spec stands in")
    before = tuple(a for a in read_allowed() if a.folder != real)
    judge = _Judge(frozenset({0}), (), scope=real)
    judge.way(real)
    specs = [Path(e.path) for e in _entries(real) if e.name.endswith((".yaml", ".yml"))]
    for spec in specs or [real / "techsapo.yaml"]:
        judge.spec(spec)
    for _, path in _program():
        if path.is_relative_to(real):
            judge.way(path)
    open_to_all = [doubt for doubt in judge.doubts if doubt.everyone]
    if open_to_all:
        cures = ", ".join(f"`{doubt.cure}`" for doubt in open_to_all[:_SHOWN])
        raise OpsError(f"{'; '.join(map(str, open_to_all[:_SHOWN]))}", f"make it safe first: {cures}")
    if not judge.doubts:
        return None
    made = Allowed(
        real,
        frozenset(uid for doubt in judge.doubts for uid in doubt.users),
        frozenset(gid for doubt in judge.doubts for gid in doubt.groups),
    )
    write_allowed([*before, made])
    return made


def user_name(uid: int, *, short: bool = False) -> str:
    """A user as people know it."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
    return name if short else f"{name} (uid {uid})"


def group_name(gid: int) -> str:
    """A group as people know it."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


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


def _program() -> Iterator[tuple[Path, Path]]:
    """What this process was and is loaded from, each with the folder that would have to be allowed."""
    prefix, package = Path(sys.prefix), Path(techsapo_ops.__file__).parent
    yield prefix, Path(sys.executable)
    yield package.parent, package
    for entry in dict.fromkeys(sys.path):
        path = Path(entry or ".").absolute()
        yield prefix if path.is_relative_to(prefix) else path, path


def _related(path: Path, scope: Path) -> bool:
    return path.is_relative_to(scope) or scope.is_relative_to(path)


def _blind(path: Path | str, error: OSError) -> OpsError:
    return OpsError(f"cannot look at {path}: {error.strerror}", "root must be able to, to tell whose it is")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _blind(folder, error) from None


def _below(folder: Path) -> Iterator[Path]:
    yield folder
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        else:
            yield Path(entry.path)

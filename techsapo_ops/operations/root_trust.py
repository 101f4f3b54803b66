"""Which of a project's files root may rely on: those that nobody can change but root and whom root trusts.

Who may write a spec, a template, the state directory or the program itself decides what root does with them.
So as root the tool looks at each of them, and at every folder on the way from `/`, before it reads any: each
must be owned by a trusted user and writable by no other. That is what OpenSSH's StrictModes asks of
~/.ssh/authorized_keys (auth_secure_path in misc.c) and git's safe.directory of a repository (git-config(1)).
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import techsapo_ops
from techsapo_ops.adapters.build import TEMPLATES
from techsapo_ops.adapters.folders import STATE_DIRECTORY, may_be_link
from techsapo_ops.adapters.ownership import Allowed, Doubt, Judge, entries, user_name
from techsapo_ops.adapters.trust import read_allowed, trusted_users, write_allowed
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.layout import (
    BACKUPS,
    DATA,
    OLD_OVERRIDES,
    OVERRIDES,
    PROOF_FOLDER,
    RECOVERY,
    RESTIC_CACHE,
    SCRATCH_FOLDER,
)

_SHOWN = 4

_FETCHED = frozenset({PROOF_FOLDER})
"""Folders of what came back from off-site, with the owners and modes that it had there; gone after a look."""
_OF_SERVICES = {DATA, SCRATCH_FOLDER}
"""Below these in the state directory each folder is some service's own; root opens them by descriptor."""

_MANY = {BACKUPS, "jobs", RESTIC_CACHE, RECOVERY}
"""Below these are many files that root does not act by: they are authenticated, or only shown; and what a
recovery has fetched, in a folder of root's alone, where each file has its owner of the old host."""


class UntrustedError(OpsError):
    """Root does not use a folder that others may change, for `doubts`; `remedy` is what allows it, in a few
    words."""

    def __init__(self, message: str, hint: str, remedy: str, doubts: Sequence[Doubt] = ()) -> None:
        super().__init__(message, hint)
        self.remedy = remedy
        self.doubts = tuple(doubts)


def root_doubts(
    spec: Path | None, *, others: Iterable[Path] = (), environment: Mapping[str, str] = os.environ
) -> tuple[Doubt, ...]:
    """Why root should not use the project of `spec`, or this program; nothing for others than root.

    `spec` is an absolute path without links, of a file that need not be there. `others` are further files
    or folders that root is about to use.
    """
    if os.geteuid() != 0:
        return ()
    judge = ProjectJudge(trusted_users(environment), read_allowed())
    for scope, path in _program():
        judge.scope = scope
        judge.way(path)
    _look_into_package(judge)
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


def folder_doubts(folder: Path, environment: Mapping[str, str] = os.environ) -> tuple[Doubt, ...]:
    """Why root should not use what is in `folder`, which a spec that it trusts names.

    As the spec is read first, root_doubts does not know of it. Nothing for others than root.
    """
    if os.geteuid() != 0:
        return ()
    judge = ProjectJudge(trusted_users(environment), read_allowed(), scope=folder.resolve())
    judge.tree(folder)
    return tuple(judge.doubts)


def without_sudo(spec: Path, *folders: Path) -> str:
    """What root needs to use the project of `spec`, and `folders` that it names, also where nobody ran sudo;
    empty where it may already."""
    doubts = list(root_doubts(spec, environment={}))
    doubts += [doubt for folder in folders for doubt in folder_doubts(folder, environment={})]
    return refusal(doubts).remedy if doubts else ""


def refusal(doubts: Sequence[Doubt]) -> UntrustedError:
    """The error for `doubts`: what is wrong where, and how to make it right or allow it."""
    more = len(doubts) - _SHOWN
    reasons = joined("; ", map(str, doubts[:_SHOWN])) + (
        msg("; and {more} more", more=more) if more > 0 else ""
    )
    owners = {uid for doubt in doubts for uid in doubt.users}
    ways = (
        [msg("run it as {user_name}", user_name=user_name(next(iter(owners)), short=True))]
        if len(owners) == 1
        else []
    )
    cures = [doubt.cure for doubt in doubts]
    needed = [doubt.cure for doubt in doubts if doubt.everyone and doubt.cure]
    remedy = (
        msg("{cures} is needed first", cures=", ".join(f"`{cure}`" for cure in needed))
        if needed
        else msg("root needs another place")
    )
    if any(doubt.path == Path.cwd() and doubt.everyone for doubt in doubts) and str(Path.cwd()) in sys.path:
        ways.append(msg("start it in another folder: Python imports from the one that it is started in"))
    if not any(doubt.everyone for doubt in doubts):
        scopes = {doubt.scope for doubt in doubts}
        outer = sorted(s for s in scopes if not any(s != o and s.is_relative_to(o) for o in scopes))
        commands = ", ".join(f"`{add_command(s)}`" for s in outer)
        ways.append(msg("trust whoever may change it: {commands}", commands=commands))
        remedy = msg("{commands} lets root use it", commands=commands)
    if more > 0 or not all(cures):
        ways.append(msg("move it where root alone may write, such as /srv"))
    else:
        ways.append(msg("make it safe: {cures}", cures=", ".join(f"`{cure}`" for cure in cures)))
    message = msg("root does not use what others may change: {reasons}", reasons=reasons)
    return UntrustedError(message, joined("; or ", ways), remedy, doubts)


def add_command(folder: Path) -> str:
    """What allows `folder`."""
    import shlex

    return f"techsapo trust add {shlex.quote(str(folder))}"


def allow(folder: Path) -> Allowed | None:
    """Allow the folder `folder`, with all that specs in it bring and a Python environment in it.

    Whoever may change them now is written down with it: an owner that comes later is refused. Returns None,
    and writes nothing, where root alone may change them. Raises OpsError for a folder that is not there, and
    for what everyone may write.
    """
    try:
        real = folder.resolve(strict=True)
    except OSError as error:
        raise OpsError(
            msg("there is no folder {folder}: {strerror}", folder=folder, strerror=error.strerror),
            msg("name the folder that holds the spec"),
        ) from None
    if not real.is_dir():
        raise OpsError(msg("{real} is not a folder", real=real), msg("name the folder that holds the spec"))
    before = tuple(a for a in read_allowed() if a.folder != real)
    judge = ProjectJudge(frozenset({0}), (), scope=real)
    judge.way(real)
    specs = [Path(e.path) for e in entries(real) if e.name.endswith((".yaml", ".yml"))]
    for spec in specs or [real / "techsapo.yaml"]:
        judge.spec(spec)
    if not specs:  # it may be the folder of templates that a spec elsewhere names
        for template in real.rglob("*.j2"):
            judge.way(template)
    for _, path in _program():
        if path.is_relative_to(real):
            judge.way(path)
    if Path(techsapo_ops.__file__).is_relative_to(real):
        _look_into_package(judge)
    open_to_all = [doubt for doubt in judge.doubts if doubt.everyone]
    if open_to_all:
        cures = ", ".join(f"`{doubt.cure}`" for doubt in open_to_all[:_SHOWN])
        raise OpsError(
            joined("; ", map(str, open_to_all[:_SHOWN])), msg("make it safe first: {cures}", cures=cures)
        )
    if not judge.doubts:
        return None
    made = Allowed(
        real,
        frozenset(uid for doubt in judge.doubts for uid in doubt.users),
        frozenset(gid for doubt in judge.doubts for gid in doubt.groups),
    )
    write_allowed([*before, made])
    return made


@dataclass(slots=True)
class ProjectJudge(Judge):
    """A judge that knows what a project consists of."""

    def spec(self, spec: Path) -> None:
        """Look at a spec and at what the tool takes or keeps beside it."""
        self.way(spec)
        # Not only passed through: into a sticky folder others could put what is missing here.
        self.look(str(spec.parent))
        self.way(spec.parent / ".env")
        for name in (OVERRIDES, OLD_OVERRIDES):
            self.tree(spec.parent / name)
        self.state(spec.parent / STATE_DIRECTORY)

    def tree(self, folder: Path) -> None:
        """Look at a folder, the way to it, and everything in it."""
        for path in _below(folder):
            self.way(path)

    def state(self, state: Path) -> None:
        """Look at a state directory and the tool's own folders in it; services own what is in `data`.

        A file system that is mounted there may be sticky, as a tmpfs is by default: root neither follows nor
        takes over what others put into it.
        """
        self.way(state)
        for top in entries(state):
            if top.name in _FETCHED and _private(top):
                continue
            if top.is_dir(follow_symlinks=False):
                self.look(top.path, passed=True)
                for inner in entries(Path(top.path)):
                    self._below_state(inner, (top.name, inner.name))
                if top.name not in _OF_SERVICES | _MANY:
                    self.inside(top.path, also=_service_users)
            else:
                self._below_state(top, (top.name,))

    def _below_state(self, entry: os.DirEntry[str], names: tuple[str, ...]) -> None:
        if entry.is_symlink():
            if may_be_link(names):
                self.look(entry.path)
                leads_to = Path(entry.path).resolve()
                self.way(leads_to.parent if names[0] == "data" and len(names) == 2 else leads_to)
            elif names[0] != "certs":  # a certificate in use is a link of ours
                why, cure = (
                    msg("is a symbolic link, which root does not follow there"),
                    msg("rm {path}", path=entry.path),
                )
                self._doubt(Path(entry.path), why, cure, is_link=True, everyone=True)
        elif names[0] not in _OF_SERVICES and (entry.is_dir(follow_symlinks=False) or len(names) == 1):
            self.look(entry.path)


def _private(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder of root's that nobody else comes into."""
    facts = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == 0 and not stat.S_IMODE(facts.st_mode) & 0o077


@cache
def _service_users() -> frozenset[int]:
    """Whose the rendered secrets may be: each service's own, on this host or in its container."""
    from techsapo_ops.services.registry import facts, service_users

    found = {each.uid for each in facts().values()}
    for name in service_users():
        with suppress(KeyError):  # not on this host
            found.add(pwd.getpwnam(name).pw_uid)
    return frozenset(found)


def _below(folder: Path) -> Iterator[Path]:
    yield folder
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        else:
            yield Path(entry.path)


def _look_into_package(judge: Judge) -> None:
    """Look at every file of this package, and at the templates that a checkout has beside it."""
    package = Path(techsapo_ops.__file__).parent
    beside = package.parent / TEMPLATES
    judge.scope = package.parent
    judge.way(beside)
    for folder in (package, beside):
        judge.inside(str(folder))


def _program() -> Iterator[tuple[Path, Path]]:
    """What this process was and is loaded from, each with the folder that would have to be allowed."""
    prefix, package = Path(sys.prefix), Path(techsapo_ops.__file__).parent
    yield prefix, Path(sys.executable)
    yield package.parent, package
    for entry in dict.fromkeys(sys.path):
        path = Path(entry or ".").absolute()
        yield prefix if path.is_relative_to(prefix) else path, path

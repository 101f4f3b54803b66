"""Copies of the spec and of the files that belong to it, in the state directory, which travels.

So they can be had from any host where the operator's own machine was lost. They are as secret as what they
hold: for their owner alone, like the keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.messages import msg
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.layout import SPEC_SEEN
from techsapo_ops.stack.stack import Stack

FOLDER = "spec-files"
"""Below the state directory."""
_MOST = 4 << 20
_MODE = 0o600


def keep_spec_files(stack: Stack) -> None:
    """Bring the copies to what the files are now; nothing for a stack of one host.

    Raises OpsError where one can't be written. A file outside of the spec's folder, or larger than a setting
    should be, is not copied.
    """
    if not stack.topology.places.state_travels:
        return
    top = stack.layout.state / FOLDER
    wanted = _copies(stack)
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in wanted.items():
        copy = top / name
        if not copy.is_file() or copy.read_bytes() != content:
            write_atomic(copy, content, _MODE)
    for old in sorted(top.rglob("*"), reverse=True):
        if old.is_dir():
            if not any(old.iterdir()):
                old.rmdir()
        elif old.relative_to(top) not in wanted:
            old.unlink()
    # For this folder alone: its spec has all that was applied last from any.
    write_atomic(stack.layout.state / SPEC_SEEN, _digest(_applied(top)).encode(), _MODE)


def applied_elsewhere(stack: Stack) -> str:
    """A warning where the spec of another folder was applied since this one, and differs; "" for none.

    An apply from here would undo it, which the user may not know.
    """
    top = stack.layout.state / FOLDER
    if not stack.topology.places.state_travels or not top.is_dir():
        return ""
    applied = _applied(top)
    if _digest(applied) == _seen(stack.layout.state):
        return ""
    wanted = _copies(stack)
    differ = sorted(str(name) for name in {*applied, *wanted} if applied.get(name) != wanted.get(name))
    current = Ledger(stack.layout.state).current()
    if not differ or current is None:
        return ""
    return msg(
        "the last apply, @{id} by {user}, came from another folder, and {files} differs "
        "here: `techsapo up` would apply this folder's version. The applied version is in "
        "{folder}",
        folder=top,
        id=current.id,
        user=current.user,
        files=", ".join(differ),
    )


def _seen(state: Path) -> str:
    try:
        return (state / SPEC_SEEN).read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):  # nothing was applied from here, or it can't be known
        return ""


def _applied(top: Path) -> dict[Path, bytes]:
    """The copies that are there, by their path in the spec's folder."""
    return {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def _digest(files: Mapping[Path, bytes]) -> str:
    each = (f"{hashlib.sha256(content).hexdigest()} {name}" for name, content in sorted(files.items()))
    return hashlib.sha256("\n".join(each).encode(errors="surrogateescape")).hexdigest()


def _copies(stack: Stack) -> dict[Path, bytes]:
    """What the copies are to be, by their path in the spec's folder."""
    here = stack.layout.spec_file.resolve().parent
    return {
        path.relative_to(here): path.read_bytes()
        for path in _belonging(stack)
        if path.is_relative_to(here) and path.stat().st_size <= _MOST
    }


def _belonging(stack: Stack) -> Iterator[Path]:
    """The spec, its .env, templates of the operator's own, and the files of its secrets, as far as there."""
    folder, overrides = stack.directory, stack.overrides
    named = [folder / Path(each).expanduser() for each in stack.spec.backup.paths]
    secrets = [
        folder / Path(secret.file).expanduser()
        for secret in secrets_of(stack.spec).values()
        if secret.file is not None
    ]
    trees = [overrides.folder] if overrides.obstacle is None else []
    for path in dict.fromkeys([stack.layout.spec_file, folder / ".env", *secrets, *trees, *named]):
        if path.is_file():
            yield path.resolve()
        elif path.is_dir():
            yield from (each.resolve() for each in sorted(path.rglob("*")) if each.is_file())

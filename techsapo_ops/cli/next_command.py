"""What to try next: the complete command of a "next:" line, and as whom a refused one is to be run."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.cli.process import ROOT_PATH
from techsapo_ops.messages import msg

_PLACE = "techsapo_ops.place"
_QUOTED = re.compile(r"`([^`]+)`")
_PROSE = re.compile(r"[`;,]|\b[A-Z]{2,}\b")
"""What no command of a hint has: more words about it, or a word for the reader to fill in."""


class Place(Protocol):
    """What the running command is about."""

    def chosen(self) -> dict[str, str]:
        """The options that another command needs to be about the same, and their values."""
        ...


def remember_place(place: Place) -> None:
    """Let what this command says next be about the stack of `place`."""
    context = _context()
    if context is not None:
        context.meta[_PLACE] = place


def completed(command: str) -> str:
    """`command` with the --file and --environment of this one, as far as it takes them and needs them."""
    context = _context()
    place: Place | None = context.meta.get(_PLACE) if context is not None else None
    if context is None or place is None:
        return command
    chosen = place.chosen()
    if not chosen:
        return command
    words = shlex.split(command)
    if words[:1] == ["sudo"]:
        words = words[1:]
    if words[:1] != ["techsapo"]:
        return command
    takes = set(_options(context.find_root(), words[1:]))
    more = [
        word
        for option, value in chosen.items()
        if option in takes and option not in words
        for word in (option, value)
    ]
    return f"{command} {shlex.join(more)}" if more else command


def command_in(text: str) -> str:
    """The first command in `text` that can be pasted: all of it, or the part in backticks; else nothing.

    A word in capitals is for the reader to fill in.
    """
    quoted = (str(match[1]) for match in _QUOTED.finditer(text))
    beginnings = ("techsapo ", "sudo ", "systemctl ")
    return next((c for c in (text, *quoted) if c.startswith(beginnings) and not _PROSE.search(c)), "")


def without(option: str) -> str:
    """This very command without `option`."""
    return shlex.join(["techsapo", *(word for word in sys.argv[1:] if word != option)])


def _options(root: Any, words: Sequence[str]) -> Iterator[str]:
    """The options of the command that `words` call."""
    command, context = root.command, root
    for word in words:
        if not hasattr(command, "get_command"):
            break
        inner = command.get_command(context, word)
        if inner is None:
            break
        command = inner.resolve() if hasattr(inner, "resolve") else inner  # the table holds stubs
        context = type(context)(command, info_name=word, parent=context)
    for parameter in command.params:
        yield from parameter.opts


def _context() -> Any:
    from techsapo_ops.cli.typer_base import get_current_context

    return get_current_context(silent=True)


_REFUSED = {errno.EACCES, errno.EPERM}
_LONGEST = 120


def as_whom(error: BaseException) -> str:
    """What to try where `error` came of a file that this user may not use; empty where it did not.

    A stack is its owner's: who ran `up` in it, so whose its state directory is. Of other files it is the
    owner. Where root is refused, the owner is not the reason: no advice then.
    """
    refused = _refusal(error)
    if refused is None or os.geteuid() == 0 or not isinstance(refused.filename, str):
        return ""
    path = Path(refused.filename).absolute()
    owner = next((uid for uid in _owners(path) if uid != os.geteuid()), None)
    if owner is None:
        return msg(
            "you own this file or folder: check its permissions with `{command}`",
            command=shlex.join(["ls", "-ld", str(path)]),
        )
    if owner == 0:
        return msg("run it as root: `{command}`", command=_command("sudo"))
    from techsapo_ops.adapters.strict_modes import user_name

    name = user_name(owner, short=True)
    account = f"#{owner}" if name.startswith("uid ") else name
    return msg("run it as {name}: `{command}`", name=name, command=_command("sudo", "-u", account))


def _refusal(error: BaseException | None) -> PermissionError | None:
    """The refusal that `error` is, or that it was raised for."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, PermissionError) and error.errno in _REFUSED:
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _owners(path: Path) -> list[int]:
    """Who may use `path`, the likeliest first, as far as this user may see it."""
    parts = path.parts
    state = Path(*parts[: parts.index(STATE_DIRECTORY) + 1]) if STATE_DIRECTORY in parts else None
    owners = []
    for place in (*([state] if state is not None else []), path, *path.parents):
        try:
            facts = place.stat()
        except OSError:  # nothing there, or in a folder that is closed: whose that is comes next
            continue
        owners.append(facts.st_uid)
        if place != state and stat.S_ISDIR(facts.st_mode):
            break
    return owners


def _command(*prefix: str) -> str:
    words = sys.argv[1:]
    program = ["techsapo"]
    if shutil.which("techsapo", path=ROOT_PATH) is None and (file := Path(sys.argv[0])).is_file():
        # `python -m techsapo_ops` names a file that nobody can run.
        module = file.name == "__main__.py"
        program = [sys.executable, "-m", file.parent.name] if module else [str(file.absolute())]
    command = shlex.join([*prefix, *program, *words])
    return command if len(command) <= _LONGEST else f"{shlex.join([*prefix, *program, *words[:2]])} …"

"""What a shell offers after Tab, from an index that was made before: no command's module is imported.

The index of commands is made anew when the package has changed, that of a project when its spec has. Both are
in the user's cache folder and are read only where they are the user's own: zsh evaluates what it is offered.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

VARIABLE = "_TECHSAPO_COMPLETE"
_SAFE = re.compile(r"[\w@%+=:,./-]{1,200}")
_BACKUP = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_LONGEST = 4 * 1024 * 1024
Index = Mapping[str, Any]


def complete(make: Callable[[], Index]) -> bool:
    """Answer the shell; False where that is left to Typer, which knows the same from the commands.

    `make` makes the index of the commands."""
    instruction, _, shell = os.environ.get(VARIABLE, "").partition("_")
    if instruction != "complete":
        return False
    try:
        index = commands_index(make)
        from typer._click.shell_completion import CompletionItem, get_completion_class
        from typer._completion_classes import completion_init

        from techsapo_ops.cli.output import write

        completion_init()
        made = get_completion_class(shell)
        if made is None:
            return False
        answer = made(None, {}, "techsapo", VARIABLE)  # type: ignore[arg-type] # it asks what follows, not the commands

        def offered(args: list[str], incomplete: str) -> list[CompletionItem]:
            return [CompletionItem(value, help=told) for value, told in offers(index, args, incomplete)]

        answer.get_completions = offered  # type: ignore[method-assign]
        write(answer.complete())
    except Exception:  # noqa: BLE001 - a shell that completes shows no error
        return False
    return True


def offers(index: Index, args: list[str], incomplete: str) -> list[tuple[str, str | None]]:
    """Words that may follow `args` and begin with `incomplete`, each with its help."""
    node, positional, wants, file = index, 0, None, None
    options_end = False
    for word in args:
        if wants is not None:
            file = word if wants.get("name") == "file" else file
            wants = None
        elif word.startswith("-") and len(word) > 1 and not options_end:
            name, equals, value = word.partition("=")
            options_end = word == "--"
            option = _option(node, name)
            if option is not None and not option["flag"]:
                file = value if equals and option["name"] == "file" else file
                wants = None if equals else option
        elif word in node["commands"]:
            node, positional = node["commands"][word], 0
        else:
            positional += 1
            options_end = options_end or bool(node.get("passes_on"))
    if wants is not None:
        return _values(wants, file, incomplete)
    if incomplete.startswith("-") and not options_end:
        return [
            (name, option["help"])
            for option in node["options"]
            for name in option["names"]
            if name.startswith(incomplete)
        ]
    found = [(name, each["help"]) for name, each in node["commands"].items() if name.startswith(incomplete)]
    arguments = node["arguments"]
    if positional < len(arguments):
        found += _values(arguments[positional], file, incomplete)
    elif arguments and arguments[-1]["many"]:
        found += _values(arguments[-1], file, incomplete)
    return found


def _option(node: Index, name: str) -> Index | None:
    return next((option for option in node["options"] if name in option["names"]), None)


def _values(param: Index, file: str | None, incomplete: str) -> list[tuple[str, str | None]]:
    if param["what"]:
        return [(name, None) for name in names_of(param["what"], file, incomplete)]
    return [(choice, None) for choice in param["choices"] if choice.startswith(incomplete)]


def names_of(what: str, file: str | None, incomplete: str) -> list[str]:
    """The names of one kind that begin with `incomplete`; `file` is the spec where one was named."""
    known = _read(_commands_file())
    if known is None:
        from techsapo_ops.cli.completion_index import static_names

        static: Index = static_names()
    else:
        static = known["names"]
    found: Iterable[str]
    if what == "fields":
        depth = incomplete.count(".")
        found = (name for name in static["fields"] if name.count(".") == depth)
    elif what in static:
        found = static[what]
    else:
        project = _project_index(file)
        found = _backups(project) if what == "backups" else project.get(what, ())
    return [name for name in found if name.startswith(incomplete) and _SAFE.fullmatch(name)]


def _backups(project: Index) -> list[str]:
    """As they are now, the newest first."""
    folder = project.get("backup_folder")
    try:
        there = os.listdir(folder) if folder else []  # noqa: PTH208 - names alone
    except OSError:
        there = []
    return ["latest", *sorted((name for name in there if _BACKUP.fullmatch(name)), reverse=True)]


def _commands_file() -> Path:
    return cache_folder() / f"completion-{_package_key()}.json"


def commands_index(make: Callable[[], Index]) -> Index:
    """The index of the commands, made now where there is none of this package."""
    path = _commands_file()
    if (known := _read(path)) is not None:
        return known
    made = make()
    _write(path, made)
    return made


def _project_index(file: str | None) -> Index:
    """The names of the project; those of before where its spec can't be read now."""
    from techsapo_ops.cli.place import find

    spec = find(Path(file) if file else None).path.absolute()
    name = sha256(os.fsencode(spec)).hexdigest()[:24]
    path = cache_folder() / f"completion-of-{name}.json"
    known = _read(path)
    try:
        facts = spec.stat()
    except OSError:
        return {}
    stamp = [facts.st_mtime_ns, facts.st_size, facts.st_ino, _package_key()]
    if known is not None and known.get("stamp") == stamp:
        return known
    from techsapo_ops.cli.completion_index import index_of_project

    made = index_of_project(spec)
    if made is None:
        return known or {}
    _write(path, {**made, "stamp": stamp})
    return made


def cache_folder() -> Path:
    """Where indexes are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "techsapo"


def _package_key() -> str:
    """Another one when the package, or the language that is spoken, is another."""
    here = Path(__file__).parents[1]
    told = [
        str(here),
        *(os.environ.get(name, "") for name in ("TECHSAPO_LANG", "LC_ALL", "LC_MESSAGES", "LANG")),
    ]
    for folder in (
        here,
        here / "cli",
        here / "cli" / "commands",
        here / "spec" / "models",
        here / "catalogue",
    ):
        with os.scandir(folder) as entries:
            told += sorted(
                f"{e.name} {e.stat().st_mtime_ns}" for e in entries if e.name.endswith((".py", ".yaml"))
            )
    return sha256("\n".join(told).encode()).hexdigest()[:24]


def _read(path: Path) -> Index | None:
    """An index of this user's own; None where there is none that can be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o022 or facts.st_size > _LONGEST:
                return None
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, value: Index) -> None:
    """Keep it; where that is not possible it is made anew the next time."""
    from techsapo_ops.adapters.files import write_atomic
    from techsapo_ops.errors import OpsError

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, json.dumps(value, ensure_ascii=False).encode(), 0o600)
    except (OSError, OpsError):
        return

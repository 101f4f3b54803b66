"""`techsapo doctor --versions`: all that a bug report needs of versions."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops import __file__ as package
from techsapo_ops import __version__
from techsapo_ops.adapters.build import build
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output
    from techsapo_ops.stack.stack import Stack

_LABEL = 14


def show_versions(place: SpecChoice, out: Output) -> None:
    """Print the versions of techsapo, Python, the system, and what the stack runs.

    Without a spec it leaves out what is of a stack.
    """
    told: dict[str, Any] = {
        "version": __version__,
        "build": build(),
        "python": f"{platform.python_version()} at {sys.executable}",
        "package": str(Path(package).parent),
        "system": _system(),
        "stack": None,
    }
    if place.file.is_file():
        try:
            told["stack"] = _stack(place.open(), out)
        except OpsError as error:
            out.warn(msg("what the stack runs is not known: {message}", message=error.message))
    if out.as_json:
        out.json(told)
        return
    _print(told, out)


def _print(told: dict[str, Any], out: Output) -> None:
    rows = [
        ("techsapo", told["build"]), ("python", told["python"]),
        (msg("package"), told["package"]), (msg("system"), told["system"]),
    ]  # fmt: skip
    stack = told["stack"]
    if stack is not None:
        rows.append((msg("engine"), stack["engine"]))
        if stack["apply"] is not None:
            rows.append((msg("apply"), f"@{stack['apply']}"))
        rows += list(stack["servers"].items())
        others = {name: seen for name, seen in stack["builds"].items() if seen != told["build"]}
        rows += [(name, msg("runs {build}", build=seen)) for name, seen in others.items()]
    width = max(_LABEL, *(len(name) for name, _ in rows))
    for name, text in rows:
        out.data(msg("{name:{width}} {text}", name=name, width=width, text=text))


def _system() -> str:
    name = platform.freedesktop_os_release().get("PRETTY_NAME", "") if sys.platform == "linux" else ""
    return ", ".join(filter(None, (name, f"{platform.system()} {platform.release()}", platform.machine())))


def _stack(project: Any, out: Output) -> dict[str, Any]:
    from techsapo_ops.cli.open_stack import open_stack
    from techsapo_ops.operations.apply.ledger import Ledger
    from techsapo_ops.operations.status.programs import program_versions

    stack: Stack = open_stack(project)
    try:
        seen = stack.engine.observe().services
        applied = Ledger(stack.layout.state).current()
    except OpsError as error:
        out.warn(msg("what runs is not known: {message}", message=error.message))
        seen, applied = {}, None
    return {
        "engine": stack.topology.engine,
        "apply": applied.id if applied is not None else None,
        "servers": program_versions(stack),
        "builds": {name: each.build for name, each in seen.items() if each.build},
    }

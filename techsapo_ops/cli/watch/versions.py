"""`techsapo doctor --versions`: all that a bug report needs of versions."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops import __file__ as package
from techsapo_ops import __version__
from techsapo_ops.adapters.build import build, is_other
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output


def show_versions(place: SpecChoice, out: Output) -> None:
    """Print the versions of techsapo, Python, the system, and what the stack runs.

    Without a spec it leaves out what is of a stack.
    """
    shown: dict[str, Any] = {
        "version": __version__,
        "build": build(),
        "python": f"{platform.python_version()} at {sys.executable}",
        "package": str(Path(package).parent),
        "system": _system(),
        "stack": None,
    }
    if place.file.is_file():
        try:
            shown["stack"] = _stack(place.open())
        except OpsError as error:
            out.warn(msg("what the stack runs is not known: {message}", message=error.message))
    if out.as_json:
        out.json(shown)
        return
    rows = [("techsapo", shown["build"]), *((name, shown[name]) for name in ("python", "package", "system"))]
    if (stack := shown["stack"]) is not None:
        rows += [
            ("engine", stack["engine"]),
            ("apply", "" if stack["apply"] is None else f"@{stack['apply']}"),
        ]
        rows += [*stack["servers"].items()]
        rows += [(name, msg("runs {build}", build=seen)) for name, seen in stack["others"].items()]
    out.table(("what", "version"), rows)


def _system() -> str:
    name = platform.freedesktop_os_release().get("PRETTY_NAME", "") if sys.platform == "linux" else ""
    return ", ".join(filter(None, (name, f"{platform.system()} {platform.release()}", platform.machine())))


def _stack(project: Any) -> dict[str, Any]:
    """What the stack runs; `others` are the services of another build than this one."""
    from techsapo_ops.apply.ledger import Ledger
    from techsapo_ops.cli.open_stack import open_stack
    from techsapo_ops.watch.status.programs import program_versions

    stack = open_stack(project)
    applied = Ledger(stack.layout.state).current()
    seen = stack.engine.observe().services.values()
    return {
        "engine": stack.topology.engine,
        "apply": applied.id if applied is not None else None,
        "servers": program_versions(stack),
        "others": {each.name: each.build for each in seen if each.build and is_other(each.build)},
    }

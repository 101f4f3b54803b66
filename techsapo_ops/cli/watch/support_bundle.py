"""`techsapo doctor --bundle` and `--versions`: what somebody who helps needs to see."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from techsapo_ops import __file__ as package
from techsapo_ops import __version__
from techsapo_ops.adapters.build import build, is_other
from techsapo_ops.adapters.resources import human
from techsapo_ops.apply.administration import recorded
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.output import confirm
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.watch.doctor.bundle import Sources, write
from techsapo_ops.watch.secrets import scrubber_of

if TYPE_CHECKING:
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output
    from techsapo_ops.stack.stack import Stack


_COMMANDS = {
    "version.json": "doctor --versions --json",
    "validate.json": "validate --json",
    "ps.json": "ps --json",
    "status.json": "status --json",
    "health.json": "health --json",
    "doctor.json": "doctor --json",
    "changes.json": "changes list --json",
    "jobs.json": "jobs --json",
    "alerts.json": "alerts list --json",
    "backups.json": "backup list --json",
    "spec.yaml": "config show",
    "plan.txt": "plan --verbose",
    "audit.txt": "audit verify",
}
"""Which command's words are in which file."""
_WITHOUT_ENVIRONMENT = frozenset({"ps.json", "changes.json"})
"""Those of commands that read no spec."""


def write_bundle(target: Path, place: SpecChoice, out: Output, *, yes: bool) -> None:
    """Write one file with versions, states, generated files, notes and the last logs; secrets are masked.

    What is in it is listed first. Known secrets of the stack are taken out wherever they are, then whatever
    looks like one. It works with a broken spec too. Ends with 1 where nobody agreed to it.
    """
    applied = recorded_stack(place.file)
    layout = applied.layout
    stack = _stack(place)
    scrubber = scrubber_of(layout, stack)
    out.say(msg("collecting …"))
    environment = ["--environment", place.environment] if place.environment is not None else []
    commands = {
        name: (*words.split(), *(environment if name not in _WITHOUT_ENVIRONMENT else ()))
        for name, words in _COMMANDS.items()
    }
    # In English: whoever is sent it may read no other language.
    techsapo = (sys.executable, "-P", "-m", "techsapo_ops", "--lang", "en")
    parts = Sources(layout, applied, stack, runner(), commands, techsapo).collect(scrubber)
    total = sum(part.size for part in parts)
    out.table(("file", "size", "what"), [(p.name, human(p.size), p.what) for p in parts], right=("size",))
    out.data(
        msg(
            "{count} files, {size}; masked: {masked}",
            count=len(parts),
            size=human(total),
            masked=_masked(scrubber.counts),
        )
    )
    if not confirm(msg("write these files to {target}?", target=target), yes=yes):
        out.say(msg("nothing was written"))
        out.next(f"techsapo doctor --bundle {shlex.quote(str(target))} --yes")
        raise typer.Exit(1)
    what = {"file": str(target.absolute()), "files": len(parts)}
    if layout.state.is_dir() and os.access(layout.administration.parent, os.W_OK):
        with recorded(layout, "doctor --bundle", what, out.warn, anyway=True):
            size = write(target, parts)
    else:
        size = write(target, parts)
    out.data(str(target))
    out.say(
        msg("{size}, readable only by you; check the contents before you send the file", size=human(size))
    )


def _stack(place: SpecChoice) -> Stack | None:
    try:
        return open_stack(place.open())
    except OpsError:
        return None


def _masked(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or msg("nothing")


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
            shown["stack"] = _stack_values(place.open())
        except OpsError as error:
            out.warn(msg("can't find out what the stack runs: {message}", message=error.message))
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


def _stack_values(project: Any) -> dict[str, Any]:
    """What the stack runs; `others` are the services of another build than this one."""
    from techsapo_ops.apply.ledger import Ledger
    from techsapo_ops.watch.status.status import program_versions

    stack = open_stack(project)
    applied = Ledger(stack.layout.state).current()
    seen = stack.engine.observe().services.values()
    return {
        "engine": stack.topology.engine,
        "apply": applied.id if applied is not None else None,
        "servers": program_versions(stack),
        "others": {each.name: each.build for each in seen if each.build and is_other(each.build)},
    }

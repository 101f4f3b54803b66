"""`techsapo support`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.disk import human
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import DryRunOption, JsonQuietOutput, SpecPlace, YesOption
from techsapo_ops.cli.output import confirm
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.support.bundle import Sources, write
from techsapo_ops.operations.support.scrub import scrubber_of

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_JSON = (
    ("version", "--verbose"), ("validate",), ("ps",), ("status",), ("health",), ("doctor",),
    ("history",), ("jobs",), ("alerts", "list"), ("backup", "list"),
)  # fmt: skip
"""What each of these says with --json."""

app = CommandGroup(
    no_args_is_help=True, help="Collect what somebody who helps needs to see, e.g. `techsapo support bundle`."
)


@app.callback()
def support() -> None:
    """Collect what somebody who helps needs to see, e.g. `techsapo support bundle`."""


@app.command()
def bundle(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file, .tar.gz.", show_default="in this folder")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    *,
    place: SpecPlace,
    out: JsonQuietOutput,
) -> None:
    """Write one file with versions, states, generated files, notes and the last logs; secrets are masked.

    What is in it is listed first, and on a terminal it asks before it writes; a script says --yes. Known
    secrets of the stack are taken out wherever they stand, then whatever looks like one; read it before you
    send it on all the same: names of hosts and people and addresses of clients stay in it. The file is
    readable by you alone. It works with a broken spec too.

    Examples:

      techsapo support bundle

      techsapo support bundle --yes --output /tmp/for-support.tar.gz
    """
    applied = recorded_stack(place.file)
    layout = applied.layout
    stack = _stack(place)
    scrubber = scrubber_of(layout, stack)
    out.say(msg("collecting …"))
    environment = ("--environment", place.environment) if place.environment is not None else ()
    commands = {f"{'-'.join(w for w in words if w[0] != '-')}.json": (*words, "--json") for words in _JSON}
    commands |= {
        "spec.yaml": ("config", "show"), "plan.txt": ("plan", "--verbose"), "audit.txt": ("audit", "verify"),
    }  # fmt: skip
    # In English: whoever is sent it may read no other language.
    techsapo = (sys.executable, "-P", "-m", "techsapo_ops", "--lang", "en")
    chosen = {
        name: (*words, *environment) if words[0] not in _WITHOUT_ENVIRONMENT else words
        for name, words in commands.items()
    }
    parts = Sources(layout, applied, stack, runner(), chosen, techsapo).collect(scrubber)
    total = sum(part.size for part in parts)
    listing = [{"name": part.name, "bytes": part.size, "what": part.what} for part in parts]
    target = output or Path(f"techsapo-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    if not out.as_json:
        out.table(("file", "size", "what"), [(p.name, human(p.size), p.what) for p in parts], right=("size",))
        out.data(
            msg(
                "{count} files, {size}; masked: {masked}",
                count=len(parts),
                size=human(total),
                masked=_masked(scrubber.found),
            )
        )
    if dry_run or not confirm(msg("write them to {target}?", target=target), yes=yes):
        out.json({"written": None, "files": listing}) if out.as_json else out.say(msg("nothing was written"))
        if not dry_run:
            out.next("techsapo support bundle --yes")
            raise typer.Exit(1)
        return
    what = {"file": str(target.absolute()), "files": len(parts)}
    if layout.state.is_dir() and os.access(layout.administration.parent, os.W_OK):
        with recorded(layout, "support bundle", what, out.warn, anyway=True):
            size = write(target, parts)
    else:
        size = write(target, parts)
    if out.as_json:
        out.json({"written": str(target.absolute()), "bytes": size, "files": listing})
        return
    out.data(str(target))
    out.say(msg("{size}, readable by you alone; look through it before you send it on", size=human(size)))


_WITHOUT_ENVIRONMENT = frozenset({"ps", "history"})
"""Commands that read no spec."""


def _stack(place: SpecPlace) -> Stack | None:
    try:
        return open_stack(place.open())
    except OpsError:
        return None


def _masked(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in found.items() if count) or msg("nothing")

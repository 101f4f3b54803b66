"""`techsapo reload`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, QuietOption, WaitOption
from techsapo_ops.cli.output import Output


def reload(
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]…", help="Names or kinds; default: all that can reload."),
    ] = None,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    wait: WaitOption = 0.0,
    quiet: QuietOption = False,
) -> None:
    """Make services read their configuration files again, without a gap.

    Prometheus, Alertmanager and nginx can; one that is named and can't is restarted.

    Examples:

      techsapo reload prometheus

      techsapo reload
    """
    from techsapo_ops.cli.wiring import engine_for, open_project, topology_for
    from techsapo_ops.operations.apply.stop import reload as perform

    out = Output(quiet=quiet)
    project = open_project(file, environment)
    topology = topology_for(project)
    engine = engine_for(project, topology)
    words = tuple(services or ()) or tuple(s.name for s in topology.services if s.facts.reload)
    names = perform(engine, project.layout, words, wait=wait)
    can = {s.name for s in topology.services if s.facts.reload}
    told = {
        "reloaded": [name for name in names if name in can],
        "restarted": [name for name in names if name not in can],
    }
    done = [f"{word} {', '.join(which)}" for word, which in told.items() if which]
    out.say("; ".join(done) or "no service here can reload")

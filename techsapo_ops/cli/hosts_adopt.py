"""`techsapo hosts adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.options import JsonQuietOutput
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.messages import msg
from techsapo_ops.operations.hosts.adopt import adopt as perform


def adopt(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Folder of the stack here; it is made.")
    ] = Path(),
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DOCKER",
            help="The way to the Docker of one of its hosts: ssh://[USER@]HOST[:PORT] or unix://PATH.",
        ),
    ] = "unix:///var/run/docker.sock",
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Which stack, where there are several.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there; the old ones are kept beside.")
    ] = False,
    *,
    out: JsonQuietOutput,
) -> None:
    """Go on with a stack of several hosts from a machine that never ran it.

    Of use when the one is lost whose commands did. Brings the spec, its files and the state directory as the
    hosts have them; then `status`, `plan`, `up` and `rollback` work here. What they hold is secret, and for
    their owner alone.

    Examples:

      techsapo hosts adopt --from ssh://ops@a stack

      techsapo hosts adopt
    """
    require_trust(directory / "techsapo.yaml")
    done = perform(runner(), source, directory, project=project, force=force, say=out.say)
    if out.as_json:
        out.json(
            {
                "project": done.project,
                "files": [str(path) for path in done.files],
                "lacking": list(done.lacking),
                "by_socket": list(done.by_socket),
            }
        )
        return
    out.say(
        msg(
            "the stack {project} goes on from {directory}",
            project=done.project,
            directory=directory.resolve(),
        )
    )
    for path in done.lacking:
        out.warn(msg("{path} did not travel: it is not in the folder of the spec", path=path))
    for name in done.by_socket:
        out.warn(
            msg("the spec reaches the Docker of {name} by a socket; from elsewhere write ssh://", name=name)
        )
    out.next("techsapo status")

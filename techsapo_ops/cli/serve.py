"""`techsapo serve`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption
from techsapo_ops.errors import OpsError


def serve(
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    instance: Annotated[str, typer.Option("--instance", help="Name of this instance, e.g. app-1.")] = "app",
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on.", show_default="app.host")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port to listen on.", show_default="of the instance"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder for this instance's data.", show_default=".techsapo/data/INSTANCE"
        ),
    ] = None,
    rendered: Annotated[
        bool,
        typer.Option("--rendered", hidden=True, help="The file is a generated app/techsapo.yaml."),
    ] = False,
) -> None:
    """Run the orchestrator API in the foreground; SIGTERM drains it.

    Logs are JSON on stdout. Without Redis answers are cached in the process, without MySQL the audit log
    is SQLite: `GET /api/v1/health` says what is in use.

    Examples:

      techsapo serve

      techsapo serve --file techsapo.yaml -e staging --port 4100
    """
    from techsapo_ops.cli.wiring import open_project

    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", instance):
        raise OpsError(f"{instance!r} is not a name for an instance", "write e.g. app-1", exit_code=2)
    project = open_project(file, environment, cross_check=not rendered)
    spec = project.spec

    from techsapo_ops.serve.logs import configure_logs
    from techsapo_ops.serve.parts import assemble
    from techsapo_ops.serve.server import run

    configure_logs(spec.logs, instance)
    parts = assemble(
        spec,
        project.loaded.disabled,
        instance=instance,
        data=data or project.layout.data / instance,
    )
    run(parts, host or spec.app.host, port or _port(instance, [i.port for i in spec.app.resolved_instances]))


def _port(instance: str, ports: list[int]) -> int:
    """The port of `app-2`; the first one for any other name."""
    _, _, number = instance.rpartition("-")
    index = int(number) if number.isdecimal() else 1
    return ports[index - 1] if 0 < index <= len(ports) else ports[0]

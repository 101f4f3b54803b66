"""`techsapo monit`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import JsonOutput, SpecFile
from techsapo_ops.cli.output import console, make_table
from techsapo_ops.cli.peer import TlsOptions, peer
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.cli.views.services import age, size
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.watch.usage import Monitor

if TYPE_CHECKING:
    from techsapo_ops.operations.watch.usage import Reading

COLUMNS = ("SERVICE", "STATE", "PID", "CPU", "MEMORY", "RESTARTS", "UPTIME", "REQ/S")
_RIGHT = ("PID", "CPU", "MEMORY", "RESTARTS", "UPTIME", "REQ/S")


def monit(
    *,
    place: SpecFile,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.2, max=60, help="Time between readings.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Read for one second, print and end.")] = False,
    remote: Annotated[
        str | None,
        typer.Option("--remote", metavar="URL", help="Follow an instance's metrics stream, from anywhere."),
    ] = None,
    tls: TlsOptions,
    out: JsonOutput,
) -> None:
    """Live table: state, CPU, memory, restarts and requests per second of each service.

    Without a terminal it prints one reading. CPU is in percent of one core, children included. With --remote
    it shows what the instance at URL tells of itself; --json then prints one object a reading, until Ctrl-C
    or, with --once, one. An API key is read from TECHSAPO_API_KEY.

    Examples:

      techsapo monit

      techsapo monit --once

      techsapo monit --json

      techsapo monit --remote https://techsapo.example.com
    """
    if remote is not None:
        from techsapo_ops.cli.views.metrics_stream import show

        show(peer("--remote", remote, place.file, tls), once=once, as_json=out.as_json)
        return
    if tls.ca_file is not None or tls.insecure:
        raise OpsError(
            msg("--ca-file and --insecure-skip-tls-verify are for --remote"),
            msg("without it nobody is asked"),
            exit_code=2,
        )

    monitor = Monitor(recorded_stack(place.stack_file()))
    readings = monitor.read()
    if not readings and not out.as_json:
        out.say(msg("no service of this stack runs"))
        out.next("techsapo up")
        return
    if once or out.as_json or not console().is_terminal:
        if readings:
            time.sleep(1.0)  # a rate is what happened between two readings
            readings = monitor.read()
        if out.as_json:
            out.json({"services": [_json(r) for r in readings]})
        else:
            out.table(COLUMNS, [_cells(r) for r in readings], right=_RIGHT)
        return
    from rich.live import Live

    with Live(_table(readings), console=console(), auto_refresh=False, screen=False) as live:
        while True:
            time.sleep(interval)
            live.update(_table(monitor.read()), refresh=True)


def _table(readings: tuple[Reading, ...]) -> Any:
    return make_table(COLUMNS, [_cells(r) for r in readings], right=_RIGHT)


def _cells(reading: Reading) -> tuple[object, ...]:
    cpu, rate = reading.cpu_percent, reading.requests_per_second
    return (
        reading.service,
        reading.state,
        reading.pid or "-",
        "-" if cpu is None else f"{cpu:.1f} %",
        size(reading.memory_bytes),
        reading.restarts,
        age(reading.started),
        "-" if rate is None else f"{rate:.1f}",
    )


def _json(reading: Reading) -> dict[str, Any]:
    return {
        "service": reading.service,
        "state": reading.state,
        "pid": reading.pid,
        "cpu_percent": reading.cpu_percent,
        "memory_bytes": reading.memory_bytes,
        "restarts": reading.restarts,
        "started": reading.started.isoformat() if reading.started else None,
        "requests_per_second": reading.requests_per_second,
    }

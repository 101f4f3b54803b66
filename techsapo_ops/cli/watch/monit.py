"""`techsapo monit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.resources import human
from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.options import JsonOutput, SpecFile
from techsapo_ops.cli.output import console, make_table
from techsapo_ops.cli.process import interruptible
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.cli.watch.services_view import age
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg, template
from techsapo_ops.watch.usage import Monitor

if TYPE_CHECKING:
    from techsapo_ops.watch.usage import Reading

COLUMNS = ("SERVICE", "STATE", "PID", "CPU", template("MEMORY"), "RESTARTS", "UPTIME", template("REQ/S"))
_INTERVAL = 2.0
"""Seconds between two readings."""
HOST = "HOST"
"""The column of a stack on several hosts, behind the service."""


def monit(
    *,
    place: SpecFile,
    once: Annotated[bool, typer.Option("--once", help="Read for one second, print and end.")] = False,
    out: JsonOutput,
) -> None:
    """Live table: state, CPU, memory, restarts and requests per second of each service.

    On a terminal, the table runs until Ctrl-C; without a terminal, one reading is printed. CPU is in percent
    of one core, child processes included.

    Examples:

      techsapo monit

      techsapo monit --once

      techsapo monit --json
    """
    monitor = Monitor(recorded_stack(place.stack_file()))
    readings = monitor.read()
    if not readings and not out.as_json:
        monitor.seen.require_known()
        out.say(msg("no service of this stack is running"))
        out.next("techsapo up")
        return
    screen = console()
    if not (once or out.as_json) and screen.is_terminal and not screen.is_dumb_terminal:
        _live(monitor, readings)
        return
    if readings:
        time.sleep(1.0)  # a rate is what happened between two readings
        readings = monitor.read()
    if out.as_json:
        away = {"unreachable": monitor.seen.away} if monitor.seen.away else {}
        out.json({**away, "services": readings})
    else:
        screen.print(_table(readings))
        monitor.seen.require_known()
    if monitor.seen.unknown:
        raise typer.Exit(1)


def _live(monitor: Monitor, readings: tuple[Reading, ...]) -> None:
    """Show a reading each two seconds until Ctrl-C, which is the way to end it and no failure."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with suppress(KeyboardInterrupt), interruptible(), Live(console=console(), auto_refresh=False) as live:
        trouble = Text()
        while True:
            live.update(Group(_table(readings), trouble), refresh=True)
            time.sleep(_INTERVAL)
            try:
                readings, trouble = monitor.read(), Text()
            except OpsError as error:
                # Shown below what was known: it may be away for a moment, as Docker while it is updated.
                trouble = Text(spoken(error.message), style="bold red")


def _table(readings: Sequence[Reading]) -> Any:
    """A table of `readings`: with the host where there are several."""
    hosts = any(reading.host for reading in readings)
    columns = (COLUMNS[0], HOST, *COLUMNS[1:]) if hosts else COLUMNS
    return make_table(columns, [_cells(reading, hosts=hosts) for reading in readings], right=COLUMNS[2:])


def _cells(reading: Reading, *, hosts: bool) -> tuple[object, ...]:
    cpu, rate = reading.cpu_percent, reading.requests_per_second
    return (
        reading.service,
        *([reading.host or "-"] if hosts else []),
        reading.state,
        reading.pid or "-",
        "-" if cpu is None else f"{cpu:.1f} %",
        "-" if reading.memory_bytes is None else human(reading.memory_bytes),
        reading.restarts,
        age(reading.started),
        "-" if rate is None else f"{rate:.1f}",
    )

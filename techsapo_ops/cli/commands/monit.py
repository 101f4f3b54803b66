"""`techsapo monit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import JsonOutput, SpecFile
from techsapo_ops.cli.output import console
from techsapo_ops.cli.peer import TlsOptions, peer
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.watch.usage import Monitor

if TYPE_CHECKING:
    from techsapo_ops.operations.watch.usage import Reading
    from techsapo_ops.stack.engine import Recorded
    from techsapo_ops.stack.observed import LogLine


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

    On a terminal, keys choose a service, show its log below and restart it; ? names them. Without a terminal
    it prints one reading. CPU is in percent of one core, children included. With --remote
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

    stack = recorded_stack(place.stack_file())
    monitor = Monitor(stack)
    readings = monitor.read()
    if not readings and not out.as_json:
        monitor.seen.require_known()
        out.say(msg("no service of this stack runs"))
        out.next("techsapo up")
        return
    screen = console()
    if once or out.as_json or not screen.is_terminal or screen.is_dumb_terminal:
        if readings:
            time.sleep(1.0)  # a rate is what happened between two readings
            readings = monitor.read()
        if out.as_json:
            out.json(
                {
                    **({"unreachable": monitor.seen.away} if monitor.seen.away else {}),
                    "services": [_json(r) for r in readings],
                }
            )
        else:
            from techsapo_ops.cli.views.monitor import HOST, RIGHT, cells, columns

            names = columns(readings)
            out.table(names, [cells(r, host=HOST in names) for r in readings], right=RIGHT)
            monitor.seen.require_known()
        if monitor.seen.unknown:
            raise typer.Exit(1)
        return
    from techsapo_ops.cli.live_monitor import LiveMonitor

    LiveMonitor(_Live(monitor, stack, place.stack_file()), screen, interval, readings).run()


@dataclass(frozen=True, slots=True)
class _Live:
    """The stack as it was brought up last, beside the spec `file`, which is not read."""

    monitor: Monitor
    stack: Recorded
    file: Path

    def read(self) -> tuple[Reading, ...]:
        return self.monitor.read()

    def log(self, service: str, lines: int) -> Sequence[LogLine]:
        return tuple(self.stack.logs([service], lines=lines))

    def restart(self, service: str) -> None:
        from techsapo_ops.cli.open_stack import history_beside
        from techsapo_ops.operations.apply.stop import restart

        history = history_beside(self.file)
        applied = history.ledger.current()
        if applied is None:
            raise OpsError(msg("there is no good apply to restart {service} by", service=service))
        restart(history.engine(history.snapshot(applied)), [service], pause=history.pause)


def _json(reading: Reading) -> dict[str, Any]:
    return {
        "service": reading.service,
        **({"host": reading.host} if reading.host else {}),
        "state": reading.state,
        "pid": reading.pid,
        "cpu_percent": reading.cpu_percent,
        "memory_bytes": reading.memory_bytes,
        "restarts": reading.restarts,
        "started": reading.started.isoformat() if reading.started else None,
        "requests_per_second": reading.requests_per_second,
    }

"""`techsapo ps`."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from techsapo_ops.adapters.build import build, difference, is_other
from techsapo_ops.cli.options import JsonQuietOutput, SpecFile
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.cli.watch.services_view import age, service_json, stopped_lines
from techsapo_ops.messages import msg
from techsapo_ops.stack.maintenance import maintenance_of


def ps(*, place: SpecFile, out: JsonQuietOutput) -> None:
    """List the services and their state.

    Reads the records of `up`, not the spec, so it also works while the spec is broken. The exit code is 1 if
    no service is seen running and a host can't be reached, because services may be running there.

    Examples:

      techsapo ps

      techsapo ps --json
    """
    stack = recorded_stack(place.stack_file())
    observed = stack.observe()
    closed = maintenance_of(stack.layout)
    now = datetime.now(UTC)
    if out.as_json:
        out.json(
            {
                "running": observed.running,
                "build": build(),
                "maintenance": None if closed is None else closed.to_json(),
                **({"unreachable": observed.away} if observed.unreachable else {}),
                "services": [service_json(s, now, observed.stopped) for s in observed.services.values()],
            }
        )
        if observed.unknown:
            raise typer.Exit(1)
        return
    if not observed.services:
        observed.require_known()
        out.say(msg("no service of this stack is running"))
        out.next("techsapo up")
        return
    several = any(s.machine for s in observed.services.values())

    def placed(name: str, host: str) -> tuple[str, ...]:
        return (name, host) if several else (name,)

    out.table(
        (*placed("SERVICE", "HOST"), *("STATE", "PID", "PORT", "UPTIME", "RESTARTS", "USER", "BUILD")),
        [
            (
                *placed(s.name, s.machine),
                s.state,
                s.pid or "-",
                s.port or "-",
                age(s.started, now),
                s.restarts,
                s.user or "-",
                s.build or "-",
            )
            for s in observed.services.values()
        ],
        right=("PID", "PORT", "UPTIME", "RESTARTS"),
    )
    for machine, why in observed.unreachable.items():
        out.say(msg("{machine} can't be reached: {why}", machine=machine, why=why))
    if closed is not None:
        out.say(msg("{closed}; `techsapo maintenance off` ends it", closed=closed))
    observed.require_known()
    if not observed.running:
        out.say(stack.gone)
        out.next("techsapo up")
        return
    for line in stopped_lines(observed):
        out.say(line)
    for service in observed.services.values():
        if service.replaced:
            out.say(msg("{service}: {replaced}", service=service.name, replaced=service.replaced))
    crashed = [s.name for s in observed.services.values() if s.state in {"crashed", "backoff"}]
    if crashed:
        out.next(f"techsapo logs {crashed[0]}")
        return
    old = {
        s.name: msg(
            "does not run the installed build {build}: {what}", build=build(), what=difference(s.build)
        )
        for s in observed.services.values()
        if s.build and is_other(s.build)
    }
    for name, why in old.items():
        out.say(msg("{service}: {replaced}", service=name, replaced=why))
    if old:
        out.next("techsapo up")
        return
    replaced = [s for s in observed.services.values() if s.replaced]
    if replaced:
        out.next(replaced[0].begins_again)

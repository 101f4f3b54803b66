"""`techsapo restart`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonQuietOutput, SpecPlace, WaitOption
from techsapo_ops.cli.output import Output, confirm, interactive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.app_start import require_app_restarts
from techsapo_ops.operations.apply.history import History
from techsapo_ops.operations.apply.stop import restart as perform
from techsapo_ops.operations.apply.stop import running_names

if TYPE_CHECKING:
    from techsapo_ops.operations.drills.probed import Probed
    from techsapo_ops.stack.stack import Stack

RATE = 20.0
"""Simulated requests a second: enough to see a gap of a tenth of a second. Each is sent once."""
LOGS = "techsapo logs app nginx --since 5m"
SECONDS, WORK, TIMEOUT = 900.0, 0.2, 30.0
"""How long they go on at most, how long a POST takes the app, and how long an answer is waited for."""


def restart(
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]…", help="Names or kinds.", autocompletion=completes("services")),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All services of the stack.")] = False,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Send simulated requests meanwhile, and say which of them failed."),
    ] = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: JsonQuietOutput,
) -> None:
    """Restart services one at a time, each until it is ready. Without a name it asks, or needs --all.

    They start with the configuration that `up` gave them last; `techsapo up` applies a changed spec. With
    --probe, GETs, keyed POSTs and a stream go through nginx all the while: they ask no provider, cost
    nothing, and count in no objective. It exits 1 where one of them failed.

    nginx itself takes no connection until it is back: open requests and streams have 2 s to end, then they
    are cut off. Where only its configuration or certificate changed, `techsapo reload nginx` refuses nobody.

    Examples:

      techsapo restart app

      techsapo restart app --probe

      techsapo restart --all
    """
    names = tuple(services or ())
    if names and everything:
        raise OpsError(msg("--all is given, and names too"), msg("leave one of them out"), exit_code=2)
    stack = open_stack(place.open())
    if not names and not everything:
        _ask(stack)
    require_app_restarts(History.of(stack), names)
    if not probe:
        done = perform(stack.engine, names, wait=wait, say=out.say, pause=stack.pause)
        out.json({"restarted": list(done)}) if out.as_json else out.say(
            msg("restarted {services}", services=", ".join(done))
        )
        return

    from techsapo_ops.operations.drills.probed import restart_probed  # httpx and asyncio: for this alone
    from techsapo_ops.operations.drills.target import load_of

    load = load_of(stack, rate=RATE, seconds=SECONDS, retries=0, work=WORK, timeout=TIMEOUT)
    probed = restart_probed(stack.engine, names, load, wait=wait, say=out.say, pause=stack.pause)
    _show(out, probed)
    if probed.error is not None:
        raise probed.error
    if not probed.well:
        raise typer.Exit(1)


def _ask(stack: Stack) -> None:
    """Ask whether all services are meant, the databases too. Raises OpsError where nobody can be asked."""
    meant = running_names(stack.engine, ())
    if not interactive():
        raise OpsError(
            msg("no service is named: {services}", services=", ".join(meant)),
            msg("name those to restart, e.g. `techsapo restart app`, or all of them by --all"),
            exit_code=2,
        )
    if not confirm(msg("restart all of them: {services}?", services=", ".join(meant)), yes=False):
        raise OpsError(msg("nothing was restarted"), msg("name those to restart, or pass --all"))


def _show(out: Output, probed: Probed) -> None:
    outcome, stream = probed.outcome, probed.outcome.stream_gap
    if out.as_json:
        out.json(
            {
                "well": probed.well,
                "requests": outcome.sent,
                "failed": outcome.failed_count,
                "reasons": dict(outcome.failed),
                "longest_gap_seconds": round(outcome.gap.seconds, 3),
                "streams_broken": outcome.broken,
                "longest_stream_gap_seconds": None if stream is None else round(stream.seconds, 3),
                "doubled": list(outcome.doubled),
                "restarted": [
                    {
                        "service": turn.service,
                        "seconds": round(turn.ended - turn.began, 3),
                        "requests": turn.requests,
                        "failed": turn.failed,
                        "longest_gap_seconds": round(turn.gap, 3),
                        "longest_stream_gap_seconds": round(turn.stream_gap, 3),
                    }
                    for turn in probed.turns
                ],
            }
        )
        return
    out.table(
        ("SERVICE", "REQUESTS", "FAILED", "LONGEST GAP", "STREAM'S GAP"),
        [
            (
                turn.service,
                turn.requests,
                turn.failed,
                msg("{gap:.2f} s", gap=turn.gap),
                msg("{stream_gap:.2f} s", stream_gap=turn.stream_gap),
            )
            for turn in probed.turns
        ],
        right=("REQUESTS", "FAILED", "LONGEST GAP", "STREAM'S GAP"),
    )
    out.data(
        msg("requests  {sent}, {failed_count} failed", sent=outcome.sent, failed_count=outcome.failed_count)
    )
    for reason, count in outcome.failed.items():
        out.data(msg("failed    {count}: {reason}", count=count, reason=reason))
    ended = sum(held.ended for held in outcome.streams)
    out.data(
        msg(
            "stream    ended by the app {ended} times, broke off {broken} times",
            ended=ended,
            broken=outcome.broken,
        )
    )
    if not probed.well and probed.error is None:
        out.next(LOGS)

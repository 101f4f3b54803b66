"""`techsapo health`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.build import build
from techsapo_ops.adapters.unreachable import away_json
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonQuietOutput, SpecPlace
from techsapo_ops.cli.output import Output, document
from techsapo_ops.cli.watch.services_view import EXIT_CODES, WRONG, away_rows, next_step, summary
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.starters import nobody_starts
from techsapo_ops.messages import msg
from techsapo_ops.watch.health.check import check

if TYPE_CHECKING:
    from techsapo_ops.watch.health.report import HealthReport


def health(
    *,
    place: SpecPlace,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.05, max=300, help="Longest wait for a probe."),
    ] = 5.0,
    out: JsonQuietOutput,
) -> None:
    """Probe every part at once: services, scrape targets, disk, certificates. Shows who has acknowledged
    which alert.

    Exit code: 0 healthy, 1 degraded, 2 down, 3 for a wrong spec or wrong usage.

    Examples:

      techsapo health

      techsapo health --json --timeout 2
    """
    try:
        stack = open_stack(place.open())
        with out.busy(msg("waiting for the probes, at most {timeout:g} s", timeout=timeout)):
            report = check(stack, timeout=timeout, now=datetime.now(UTC))
    except OpsError as error:
        error.exit_code = WRONG
        raise
    if out.as_json:
        out.json({**_value(report), "unreached": list(stack.spec.unreached)})
    else:
        _print(report, out, (stack.spec.nobody_notified, nobody_starts(stack.topology, stack.runner)))
    raise typer.Exit(EXIT_CODES[report.status])


def _value(report: HealthReport) -> dict[str, Any]:
    return {
        "status": report.status.value,
        "build": build(),
        "seconds": round(report.seconds, 4),
        "probes": [document(part, "vital", "outdated", "away", "sole") for part in report.probes],
        "acknowledged": _acknowledged(report),
        **({"unreachable": away_json(report.unreachable)} if report.unreachable else {}),
    }


def _acknowledged(report: HealthReport) -> list[dict[str, Any]]:
    if not report.acknowledged:
        return []
    from techsapo_ops.cli.watch.alerts_ack import acknowledgement_json  # with all that its command needs

    return [acknowledgement_json(each) for each in report.acknowledged]


_COLUMNS = ("name", "status", "ms", "detail")


def _rows(report: HealthReport, *, failing_only: bool) -> list[tuple[str, str, str, str]]:
    parts = [part for part in report.asked if part.failing or not failing_only]
    return [(host, "down", "", words) for host, words in away_rows(report)] + [
        (
            part.name,
            part.status.value,
            "" if part.seconds is None else f"{part.seconds * 1000:.0f}",
            part.detail,
        )
        for part in parts
    ]


def _print(report: HealthReport, out: Output, missing: Sequence[str]) -> None:
    rows = _rows(report, failing_only=out.quiet)
    if rows:
        out.table(_COLUMNS, rows, right=("ms",))
    if report.failing or not out.quiet:
        out.data(summary(report))
    for line in (*map(str, report.acknowledged), *filter(None, missing)):
        out.say(line)
    if step := next_step(report):
        out.advise(step)

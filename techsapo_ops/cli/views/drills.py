"""Drills on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.cli.output import Output
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.report import Phase, Report


def list_reports(found: Sequence[Report], out: Output) -> None:
    """A line for each."""
    if not found:
        out.say(msg("no drill has been made yet"))
        out.next("techsapo drill restore")
        return
    rows = [
        (
            report.id,
            "ok" if report.ok else "missed",
            ", ".join(f"{p.name} {_took(p)}" for p in report.phases if p.objective is not None),
            "; ".join(report.missed),
        )
        for report in found
    ]
    out.table(("id", "state", "took", "missed"), rows)


def show_report(report: Report, out: Output) -> None:
    """One drill: times next to their objectives, counts, and what was wrong."""
    if not (out.quiet and report.ok):
        _figures(report, out)
    for problem in report.problems:
        out.data(msg("{drill}: {line}", drill=report.drill, line=problem))
    for note in report.notes:
        out.say(note)
    if report.ok:
        out.say(msg("{id}: the objectives are met", id=report.id))
    else:
        out.say(msg("{id} missed: {map}", id=report.id, map="; ".join(report.missed)))


def _took(phase: Phase) -> str:
    return "never" if phase.seconds is None else f"{phase.seconds:.2f} s"


def _figures(report: Report, out: Output) -> None:
    rows = [
        (
            phase.name,
            _took(phase),
            "" if phase.objective is None else f"{phase.objective:g} s",
            "" if phase.objective is None else "ok" if phase.ok else "missed",
        )
        for phase in report.phases
    ]
    if rows:
        out.table(("phase", "took", "objective", "state"), rows, right=("took", "objective"))
    counts = [
        (name.replace("_", " "), "—" if value is None else f"{value:g}")
        for name, value in report.counts.items()
    ]
    if counts:
        out.data("")
        out.table(("what", "value"), counts, right=("value",))
    for name, fact in report.facts.items():
        out.data(f"{name}: {fact}")

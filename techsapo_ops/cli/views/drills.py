"""Drills on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.catalogue.drills import DrillWords
from techsapo_ops.cli.output import Output
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.chart import chart
from techsapo_ops.operations.drills.page import counted, measured, number
from techsapo_ops.operations.drills.report import Phase, Report

_WORDS = DrillWords("en")


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
            ", ".join(f"{_WORDS(p.name)} {_took(p)}" for p in report.phases if p.objective),
            "; ".join(map(_WORDS, report.missed)),
        )
        for report in found
    ]
    out.table(("id", "state", "took", "missed"), rows)


def show_report(report: Report, out: Output) -> None:
    """One drill: times beside their objectives, counts, its course, and what was wrong."""
    if not (out.quiet and report.ok):
        _figures(report, out)
    for line in (
        *([msg("stopped: {stopped}", stopped=report.stopped)] if report.stopped else []),
        *report.problems,
    ):
        out.data(msg("{drill}: {line}", drill=report.drill, line=line))
    for note in report.notes:
        out.say(note)
    if report.ok:
        out.say(msg("{id}: the objectives are met", id=report.id))
    else:
        out.say(msg("{id} missed: {map}", id=report.id, map="; ".join(map(_WORDS, report.missed))))


def _took(phase: Phase) -> str:
    return f"{measured(phase.seconds)} s" if phase.seconds is not None else "never"


def _figures(report: Report, out: Output) -> None:
    if report.phases:
        rows = [
            (
                _WORDS(phase.name),
                _took(phase),
                f"{number(phase.objective)} s" if phase.objective is not None else "",
                "" if phase.objective is None else "ok" if phase.ok else "missed",
            )
            for phase in report.phases
        ]
        out.table(("phase", "took", "objective", "state"), rows, right=("took", "objective"))
    if report.counts:
        out.data("")
        out.table(
            ("what", "value"),
            [(_WORDS(name), counted(name, value)) for name, value in report.counts.items()],
            right=("value",),
        )
    if drawn := chart(report.columns, report.marks, ("answered", "failed")):
        out.data(f"\n{drawn}")
    for reason, count in report.reasons.items():
        out.data(msg("failed: {reason}, {count}", reason=reason, count=count))
    for seen in report.alerts:
        out.data(
            msg(
                "alert: {alert} ({state}) after {measured} s",
                alert=seen.alert,
                state=seen.state,
                measured=measured(seen.after),
            )
        )
    for name, fact in report.facts.items():
        out.data(f"{name}: {fact}")

"""A drill on several machines, from what is agreed to its report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.cluster.course import SETTLES, Seen, course
from techsapo_ops.operations.drills.cluster.plan import Taking
from techsapo_ops.operations.drills.cluster.whole import led
from techsapo_ops.operations.drills.cluster.writes import Writer
from techsapo_ops.operations.drills.failover import QUIET
from techsapo_ops.operations.drills.figures import Twice, counts_of, some, twice
from techsapo_ops.operations.drills.load import Load, Outcome
from techsapo_ops.operations.drills.report import Phase, Report
from techsapo_ops.operations.drills.written import written
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.stack import Stack

_ROWS_SECONDS = 60.0
"""For which a row may wait in a spool: it is read back from another member before it counts."""


def cluster_drill(
    stack: Stack,
    begin: Callable[[float], Report],
    *,
    taking: Taking,
    load: Load,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Take away what was agreed to, put it back, and report what users of `load` would have noticed.

    Raises OpsError, before anything is touched, where a guard is against it; and where something does not
    come back.
    """
    writers = _writers(stack, taking, load.run)
    seen, guards, traffic = course(stack, taking, load, writers, say)
    outcome = traffic.outcome()
    report = begin(outcome.seconds)
    notes = [*seen.notes, *filter(None, [guards.unwatched])]
    facts = {**seen.facts, "run": load.run}
    lost_writes: float | None = None
    again = Twice(outcome.doubled)
    if seen.struck is not None:
        rows = written(stack, load.prefix, outcome.written, within=_ROWS_SECONDS)
        lost_writes, again = len(rows.lost), twice(outcome, rows.doubled, seen.struck)
        if rows.lost:
            notes.append(msg("without a row in the audit log: {some}", some=some(rows.lost)))
        notes += again.notes()
    counts = counts_of(outcome, lost_writes=lost_writes, twice=again)
    counts |= _plain(stack, writers, seen, notes)
    known = led(stack)
    if writers and known is not None:
        setting, most = known[1].WINDOW
        facts[setting] = f"{most} s"
    marks = {"killed": seen.struck, "returned": seen.returned, "ready": seen.again or seen.back}
    return replace(
        report,
        phases=_phases(stack, taking, seen, outcome, counts),
        counts=counts,
        zero=("failed", "doubled", "lost_writes"),
        reasons=dict(outcome.failed),
        facts=facts,
        alerts=tuple(guards.seen),
        notes=tuple(notes),
        stopped=seen.stopped,
        columns=tuple(outcome.seconds_of()),
        marks={name: at for name, at in marks.items() if at is not None},
    )


def _phases(
    stack: Stack, taking: Taking, seen: Seen, outcome: Outcome, counts: dict[str, float | None]
) -> tuple[Phase, ...]:
    if seen.struck is None:
        return ()
    objectives, found = stack.spec.objectives, []
    until = math.inf if seen.returned is None else seen.returned
    settled = outcome.settled_after(seen.struck, until)
    found.append(Phase("failover", settled, seconds(objectives.failover)))
    if "longest_plain_gap" in counts:
        found.append(Phase("writable", counts["longest_plain_gap"], seconds(objectives.failover)))
    # What stays away on purpose is no time that it took to come back.
    began, ended = (seen.returned, seen.back) if taking.seconds else (seen.struck, seen.again or seen.back)
    back = None if began is None or ended is None else ended - began
    found.append(Phase("recovery", back, seconds(objectives.service)))
    return tuple(found)


def _writers(stack: Stack, taking: Taking, run: str) -> tuple[Writer, ...]:
    """None where what is taken has nothing to do with it."""
    known = led(stack)
    if known is None or (taking.service and not taking.service.startswith(known[0])):
        return ()
    lasting = round(QUIET + (taking.seconds or SETTLES) + SETTLES)
    found: tuple[Writer, ...] = known[1].writers(
        stack, run, taking.host, lasting, cut=taking.drill == "partition"
    )
    return found


def _plain(stack: Stack, writers: Sequence[Writer], seen: Seen, notes: list[str]) -> dict[str, float | None]:
    """What became of plain writes: the counts, and what could not be told."""
    known = led(stack)
    if not writers or known is None or seen.struck is None:
        return {}
    near, *alone = writers
    found = near.found()
    lost, window = 0, 0.0
    try:
        master = known[1].leader(stack)
        for writer in writers:
            plain = writer.found()
            if not plain.taken:
                notes.append(msg("what plain writes of {name} became is not known", name=writer.service.name))
                continue
            gone, over = plain.lost(writer.there(master, plain.taken))
            lost, window = lost + gone, max(window, over)
    except OpsError as error:
        notes.append(msg("which plain writes were lost is not known: {why}", why=error.message))
        return {"longest_plain_gap": found.gap, "plain_lost": None, "loss_window": None}
    if alone and seen.cut_at is not None:
        window = alone[0].found().after(seen.cut_at)
    gap = None if found.gap is None else round(found.gap, 2)
    return {"longest_plain_gap": gap, "plain_lost": lost, "loss_window": round(window, 2)}

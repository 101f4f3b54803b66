"""Budgets from outside the app: let one start at zero, and tell the app of an audit log that is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.services.app.kind import App
from techsapo_ops.stack.data_notes import FILE, BudgetNote, Gap, read_note
from techsapo_ops.stack.layout import BUDGET_FOLDER, Layout
from techsapo_ops.stack.places import EVERY
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.budget_ledger import Period

_KEPT = timedelta(days=62)
"""For which a gap matters: longer than a month."""


def reset_budget(stack: Stack, period: Period, warn: Warn) -> datetime:
    """Let all budgets of `period` start at zero from now on; when that was.

    The caller holds the stack's lock. Raises OpsError where it can't be recorded or written: then nothing is
    changed.
    """
    now = datetime.now(UTC)
    with recorded(stack.layout, "answers reset-budget", {"period": period}, warn):
        found = read_note(stack.layout.budget_note)
        _write(stack.layout, replace(found, resets={**found.resets, period: now}))
        if words := lacking(stack.engine.deliver()):
            warn(words)
    return now


def note_audit(layout: Layout, since: Mapping[str, datetime]) -> None:
    """Note since when app instances have an audit log of their own. Raises OpsError."""
    found = read_note(layout.budget_note)
    if since and dict(found.audit_since) != dict(since):
        _write(layout, replace(found, audit_since=dict(since)))
    else:
        follow(layout)


def note_gap(layout: Layout, gap: Gap, instances: Collection[str]) -> None:
    """Note that an audit log is gone; for `instances`, whose own it was, it begins anew. Raises OpsError."""
    found = read_note(layout.budget_note)
    kept = (each for each in found.gaps if each.until > gap.until - _KEPT)
    since = {name: time for name, time in found.audit_since.items() if name not in instances}
    _write(layout, replace(found, audit_since=since, gaps=(*kept, gap)))


def forget_audit(layout: Layout) -> None:
    """Forget that there was an audit log: the stack begins as one that was never applied. Raises OpsError."""
    found = read_note(layout.budget_note)
    if found.audit_since or found.gaps:
        _write(layout, BudgetNote(resets=found.resets))


def follow(layout: Layout) -> None:
    """Let the app have what the note says: after a kill in the middle, or beside a new configuration."""
    if not layout.budget_note.exists():
        return
    content = read_note(layout.budget_note).text().encode()
    for places in EVERY:
        beside = layout.config / places.rendered / App.facts.kind
        if beside.is_dir():
            (beside / BUDGET_FOLDER).mkdir(mode=0o755, exist_ok=True)
            (beside / BUDGET_FOLDER).chmod(0o755)
            write_atomic(beside / BUDGET_FOLDER / FILE, content)


def _write(layout: Layout, made: BudgetNote) -> None:
    write_atomic(layout.budget_note, made.text().encode(), 0o600)
    follow(layout)

"""A stack's data in an apply: what exists is noted, what is gone is not replaced unasked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.apply.plan import StackPlan
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.lost_data import LostData, is_there, lost_data
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.backup import Amount
from techsapo_ops.stack.data_notes import FILE, MARK, BudgetNote, DataNote, Gap, KnownData, read_note
from techsapo_ops.stack.layout import BUDGET_FOLDER, Layout
from techsapo_ops.stack.places import EVERY
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.budget_ledger import Period

_COUNTING_SECONDS = 3600.0
"""A large database takes minutes to count its rows."""


def require_data(stack: Stack, plan: StackPlan) -> None:
    """Raise OpsError where data of the services of `plan` is gone: an `up` would create it again, empty."""
    if lost := lost_of(plan):
        lines = [str(each) for each in lost]
        backup = newest_backup(stack, {each.known.kind for each in lost})
        back = f"techsapo restore {backup}" if backup else ""
        lines.append(
            msg("the newest backup of this data is {backup}", backup=backup)
            if backup
            else msg("there is no backup of this data")
        )
        raise OpsError(joined("\n", lines), _hint(back))


def _hint(back: str) -> str:
    if not back:
        return msg(
            "if the folder or volume was only moved or unmounted, put it back; if the data is lost, "
            "`techsapo up --empty` starts without it"
        )
    return msg(
        "if the folder or volume was only moved or unmounted, put it back; if the data is lost, "
        "`techsapo up --empty` starts without it, and `{back}` then restores the backup",
        back=back,
    )


def lost_of(plan: StackPlan) -> tuple[LostData, ...]:
    """What is gone of the services that a plan is about."""
    about = {step.service for step in plan.steps.steps if step.action is not Action.REMOVE}
    return tuple(each for each in plan.lost if each.service in about)


def newest_backup(stack: Stack, kinds: Collection[str]) -> str:
    """Id of the newest backup that has data of these kinds of services; empty where there is none."""
    sources = {
        backup.name
        for kind in kinds
        if (backup := kind_of(kind).backup()) is not None and not backup.too_secret
    }
    try:
        known = repository_of(stack).ours()
    except OpsError:
        return ""
    having = [b.id for b in known if sources <= {part.source for part in b.read().parts}]
    return having[-1] if having else ""


def start_empty(stack: Stack, lost: Sequence[LostData], warn: Warn) -> None:
    """Give up the data that is gone: what still runs without it is stopped, and it is no longer looked for.

    Raises OpsError where that can't be recorded.
    """
    what = {"lost": {each.service: str(each) for each in lost}}
    with recorded(stack.layout, msg("up --empty"), what, warn):
        observed = stack.engine.observe()
        for each in lost:
            seen = observed.services.get(each.service)
            if seen is not None and seen.state.running_or_restarting:
                stack.engine.halt(each.service)
        _note_gaps(stack.topology, lost)
        DataNote(stack.layout, stack.topology.engine).forget([each.service for each in lost])


def _note_gaps(topology: Topology, lost: Sequence[LostData]) -> None:
    """Tell the app which audit rows are gone: they are what budgets are rebuilt from."""
    now = datetime.now(UTC)
    for each in lost:
        if kind_of(each.known.kind).has_audit_log(topology):
            note_gap(topology.layout, Gap(each.known.since, each.known.seen, now), [each.service])


def note_data(stack: Stack, *, new: bool = True) -> None:
    """Note which services have data now, and how much; without `new` those alone that are noted already.

    Data that is gone stays noted. Raises OpsError where the note can't be written.
    """
    if stack.topology.places.shares_data:
        return
    note = DataNote(stack.layout, stack.topology.engine)
    known = note.known()
    asked = {
        service.name: partial(_seen, stack, service, known.get(service.name))
        for service in stack.topology.services
        if new or service.name in known
    }
    present = {}
    for name, seen in at_once(asked, _COUNTING_SECONDS).items():
        if isinstance(seen, Exception):
            raise seen
        if seen is not None:
            present[name] = seen
    if not new:
        note.refresh(present)
        return
    note.add(present)
    # What was scaled away, or is no longer in the spec, may be cleared away.
    note.forget([name for name in note.known() if stack.topology.find(name) is None])
    noted = note.known().items()
    audit = {n: each.since for n, each in noted if kind_of(each.kind).has_audit_log(stack.topology)}
    note_audit(stack.layout, audit)


def unnoted_data(stack: Stack) -> tuple[Service, ...]:
    """The services that run and have data which no apply has seen, such as what Redis saved later."""
    if stack.topology.places.shares_data:
        return ()
    known, observed = DataNote(stack.layout, stack.topology.engine).known(), stack.engine.observe().services
    return tuple(
        service
        for service in stack.topology.services
        if service.name not in known
        and service.name in observed
        and observed[service.name].state.running_or_restarting
        and (names := kind_of(service).data_names(stack.topology))
        and (entries := stack.engine.data_entries(service.name)) is not None
        and is_there(entries, names)
    )


def note_unnoted(stack: Stack) -> None:
    """Note that data, while nobody else is at work on the stack: else what is being given up came back."""
    unnoted = {
        each.name: seen for each in unnoted_data(stack) if (seen := _seen(stack, each, None)) is not None
    }
    DataNote(stack.layout, stack.topology.engine).add(unnoted)


def note_restored(stack: Stack, part_kinds: Collection[str]) -> None:
    """Note the data that a restore of these parts brought back in place of data that was gone."""
    kinds = ((registry.find(part.partition(":")[0]), part) for part in part_kinds)
    names = {kind.service(part) for kind, part in kinds if kind is not None}
    lost = lost_data(stack.topology, stack.engine, stack.topology.engine)
    back = [each for each in lost if each.service in names]
    services = {service.name: service for service in stack.topology.services}
    restored = {
        n.service: seen for n in back if (seen := _seen(stack, services[n.service], None)) is not None
    }
    _note_gaps(stack.topology, [each for each in back if each.service in restored])
    DataNote(stack.layout, stack.topology.engine).add(restored)


def _seen(stack: Stack, service: Service, known: KnownData | None) -> KnownData | None:
    names = kind_of(service).data_names(stack.topology)
    try:
        entries = stack.engine.data_entries(service.name) if names else None
    except OpsError:
        return None
    if entries is None or not is_there(entries, names):
        return None
    if MARK not in entries and (known is not None or not _marked(stack, service)):
        return None
    now = datetime.now(UTC)
    return KnownData(service.kind, now, now, _amount(stack, service))


def _marked(stack: Stack, service: Service) -> bool:
    """Leave the mark in a data folder, as the user of its service; whether that succeeded."""
    try:
        made = stack.runner.run(stack.engine.beside(service.name, Command(("sh", "-c", f": > {MARK}"))))
    except OpsError:
        return False
    return made.code == 0


def _amount(stack: Stack, service: Service) -> Amount | None:
    backup = kind_of(service).backup()
    try:
        return backup.present_amount(stack, service.name) if backup is not None else None
    except OpsError:  # it is there, whatever it holds
        return None


_GAP_AGE = timedelta(days=62)
"""How long a gap matters: longer than a month."""


def reset_budget(stack: Stack, period: Period, warn: Warn) -> datetime:
    """Let all budgets of `period` start at zero from now on; when that was.

    The caller holds the stack's lock. Raises OpsError where it can't be recorded or written: then nothing is
    changed.
    """
    now = datetime.now(UTC)
    with recorded(stack.layout, "answers reset-budget", {"period": period}, warn):
        note = read_note(stack.layout.budget_note)
        _write(stack.layout, replace(note, resets={**note.resets, period: now}))
        if words := lacking(stack.engine.deliver()):
            warn(words)
    return now


def note_audit(layout: Layout, since: Mapping[str, datetime]) -> None:
    """Note since when app instances have an audit log of their own. Raises OpsError."""
    note = read_note(layout.budget_note)
    if since and dict(note.audit_since) != dict(since):
        _write(layout, replace(note, audit_since=dict(since)))
    else:
        follow(layout)


def note_gap(layout: Layout, gap: Gap, instances: Collection[str]) -> None:
    """Note that an audit log is gone; for `instances`, whose own it was, it begins anew. Raises OpsError."""
    note = read_note(layout.budget_note)
    recent = (each for each in note.gaps if each.until > gap.until - _GAP_AGE)
    since = {name: time for name, time in note.audit_since.items() if name not in instances}
    _write(layout, replace(note, audit_since=since, gaps=(*recent, gap)))


def forget_audit(layout: Layout) -> None:
    """Forget that there was an audit log: the stack begins as one that was never applied. Raises OpsError."""
    note = read_note(layout.budget_note)
    if note.audit_since or note.gaps:
        _write(layout, BudgetNote(resets=note.resets))


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

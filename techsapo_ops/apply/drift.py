"""What is no longer as it was applied: files edited by hand, processes changed outside techsapo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.apply.changes import ChangeKind
from techsapo_ops.apply.data import note_data, note_unnoted, unnoted_data
from techsapo_ops.apply.history import History, apply_journal
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.maintenance import at_odds
from techsapo_ops.apply.plan import Purpose, StackPlan, plan
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.stack.data_notes import DataNote
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.journal import half_restored
from techsapo_ops.stack.observed import Observed, State
from techsapo_ops.stack.step import Action

EDITED = msg("was edited by hand")
Kind = Literal["apply", "file", "maintenance", "restore", "service", "stranger", "update"]


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One thing that differs: a path, a service or a stranger's port, and how."""

    kind: Kind
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All that differs from the apply `against`; nothing when the stack is as it was left.

    `services` are the names of those that exist.
    """

    against: LedgerEntry
    findings: tuple[DriftFinding, ...]
    services: tuple[str, ...] = ()

    @property
    def replaced(self) -> frozenset[str]:
        """The services that run what an update has replaced."""
        return frozenset(finding.name for finding in self.findings if finding.kind == "update")


def drift(history: History) -> DriftReport:
    """Compare disk and processes with the last good apply; changes nothing and reads no spec.

    Raises OpsError when nothing was applied yet.
    """
    current = history.ledger.current()
    if current is None:
        raise OpsError(
            msg("nothing was applied yet"),
            msg("`techsapo plan` shows the differences; `techsapo up` applies them"),
        )
    snapshot = history.snapshot(current)
    running = history.engine(snapshot)
    stack_plan = plan(snapshot, running, Purpose.DRIFT)
    findings = [
        *_applies(history),
        *_files(stack_plan),
        *(
            DriftFinding("maintenance", name, what)
            for name, what in at_odds(snapshot.desired.topology.layout)
        ),
        *_services(stack_plan, running),
        *_updates(stack_plan),
        *(
            DriftFinding("stranger", "", odd.what)
            for odd in running.prove(snapshot.desired, (), strangers=True)
        ),
    ]
    return DriftReport(current, tuple(findings), (*stack_plan.observed.services, *stack_plan.observed.beside))


def _applies(history: History) -> Iterator[DriftFinding]:
    ledger = history.ledger
    last = ledger.entries()[-1]
    if half_restored(history.layout):
        yield DriftFinding("restore", "restore", msg("was interrupted: `techsapo up` undoes it"))
    if apply_journal(history.layout).path.exists():
        yield DriftFinding("apply", f"@{ledger.next_id()}", msg("is in progress, or was interrupted"))
    elif last.result == "failed":
        yield DriftFinding(
            "apply", f"@{last.id}", msg("failed and was not rolled back: {reason}", reason=last.reason)
        )


def _files(stack_plan: StackPlan) -> Iterator[DriftFinding]:
    wanted = {file.path for file in stack_plan.desired.files}
    for change in stack_plan.files:
        if change.path not in wanted:
            what = msg("was generated, but was not part of the last apply")
        elif change.kind is ChangeKind.ADDED:
            what = msg("is missing")
        elif change.modes is not None:
            mode, file_mode = change.modes
            what = msg("has mode {mode:04o} instead of {file_mode:04o}", mode=mode, file_mode=file_mode)
        elif change.kind is ChangeKind.EDITED:
            what = EDITED
        else:
            what = msg("was regenerated but not applied")
        yield DriftFinding("file", change.path, what)


def _services(stack_plan: StackPlan, running: Running) -> Iterator[DriftFinding]:
    desired, observed = stack_plan.desired, stack_plan.observed
    if not observed.running and desired.topology.services:
        yield DriftFinding("service", "stack", msg("is not running"))
        yield from _ports(desired, observed, running)
        return
    for step in stack_plan.steps.changes:
        seen = observed.services.get(step.service)
        if seen is not None and seen.replaced == step.reason:
            continue
        if step.action is Action.REMOVE:
            what = msg("is running, but was not part of the last apply")
        elif step.reason == "not there yet":
            what = msg("is gone")
        elif step.action in {Action.RELOAD, Action.RESTART} and step.reason.endswith(" changed"):
            what = msg("is running with an older configuration: {reason}", reason=step.reason)
        else:
            what = step.reason
        yield DriftFinding("service", step.service, what)
    for name, stopped in observed.stopped.items():
        seen = observed.services.get(name)
        if seen is not None and seen.state is State.RUNNING:
            yield DriftFinding("service", name, msg("is running, although it was {stopped}", stopped=stopped))
    yield from _ports(desired, observed, running)


def _updates(stack_plan: StackPlan) -> Iterator[DriftFinding]:
    """Services that still run what an update has replaced: nobody changed them, they need a start."""
    steps = {step.service: step for step in stack_plan.steps.changes}
    for name, seen in stack_plan.observed.services.items():
        if seen.replaced:
            command = "up" if name in steps else msg("restart {name}", name=name)
            yield DriftFinding(
                "update",
                name,
                msg("{replaced}: `techsapo {command}` restarts it", replaced=seen.replaced, command=command),
            )
    for name, why in stack_plan.observed.beside.items():
        again = msg("`techsapo down`, then `techsapo up`, restarts this program and all services")
        yield DriftFinding("update", name, msg("{why}: {again}", why=why, again=again))


def _ports(desired: Desired, observed: Observed, running: Running) -> Iterator[DriftFinding]:
    """Ports of services that do not run, which somebody else has taken."""
    topology = desired.topology
    idle = [
        service
        for service in topology.services
        if topology.published(service)
        and ((seen := observed.services.get(service.name)) is None or seen.pid is None)
    ]
    if not idle:
        return
    holders = running.holders()
    for service in idle:
        if holder := holders.get(service.port):
            yield DriftFinding(
                "stranger",
                service.name,
                msg("its port {port} is in use by {holder}", port=service.port, holder=holder),
            )


APPLY_SECONDS = 240.0
"""How long an apply that is under way is waited for."""


def job(context: JobContext) -> JobResult:
    """Compare the stack with its last good apply. A difference is a finding, not a failure of the job.

    Raises OpsError when nothing was applied yet.
    """
    # An `up` under way would look like drift all over.
    with at_work(context.layout, APPLY_SECONDS):
        pass
    report = drift(context.history)
    for finding in report.findings:
        context.tell(f"{finding.kind} {finding.name or '-'} {finding.what}")
    counts = Counter(finding.kind for finding in report.findings)
    samples = (
        *(Sample("techsapo_drift_findings", counts[kind], {"kind": kind}) for kind in get_args(Kind)),
        *(
            Sample("techsapo_service_replaced", int(name in report.replaced), {"service": name})
            for name in report.services
        ),
        *_data(context),
    )
    if not report.findings:
        return JobResult(msg("unchanged since apply @{id}", id=report.against.id), samples)
    return JobResult(
        msg("differences from apply @{id}: {count}", count=len(report.findings), id=report.against.id),
        samples,
    )


def _data(context: JobContext) -> Iterator[Sample]:
    """What data is there, and what is gone; nothing where the spec can't be read."""
    try:
        stack = context.stack()
        lost = {each.service: each for each in lost_data(stack.topology, stack.engine, stack.topology.engine)}
        note_data(stack, new=False)
        if unnoted_data(stack):
            with at_work(context.layout, APPLY_SECONDS):
                note_unnoted(stack)
        known = DataNote(stack.layout, stack.topology.engine).known()
    except OpsError as error:
        context.tell(f"data was not checked: {error.message}")
        return
    for each in lost.values():
        context.tell(str(each))
    for name in known:
        if stack.topology.find(name) is not None:
            yield Sample("techsapo_data_missing", int(name in lost), {"service": name})

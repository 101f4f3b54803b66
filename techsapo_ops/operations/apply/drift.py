"""What is no longer as it was applied: files edited by hand, processes changed behind our back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.adapters.ports import listeners
from techsapo_ops.adapters.written import digest, read_manifest
from techsapo_ops.engines.compose.access import own_mode
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.changes import read_content
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Entry, Ledger
from techsapo_ops.operations.apply.rollback import load
from techsapo_ops.operations.apply.snapshot import Snapshot
from techsapo_ops.operations.apply.steps import mended
from techsapo_ops.operations.apply.transaction import Tools
from techsapo_ops.operations.certificates.redis import with_redis_certificate
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Action, Engine, Observed, Plan
from techsapo_ops.stack.layout import Layout

EDITED = "was edited by hand"
Kind = Literal["apply", "file", "service", "stranger"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that differs: a path, a service or a stranger's port, and how."""

    kind: Kind
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All that differs from the apply `against`; nothing when the stack is as it was left."""

    against: Entry
    findings: tuple[Finding, ...]


def drift(layout: Layout, tools: Tools) -> DriftReport:
    """Compare disk and processes with the last good apply; changes nothing and reads no spec.

    Raises OpsError when nothing was applied yet.
    """
    ledger = Ledger(layout.state)
    current = ledger.current()
    if current is None:
        raise OpsError(
            "nothing was applied yet", "`techsapo up` does; `techsapo plan` shows what it would do"
        )
    snapshot = load(ledger, current, layout)
    engine = tools.engines(snapshot)
    findings = [
        *_applies(ledger),
        *_files(snapshot.desired),
        *_services(snapshot, engine, tools),
        *(Finding("stranger", "", words) for words in engine.strangers()),
    ]
    return DriftReport(current, tuple(findings))


def _applies(ledger: Ledger) -> Iterator[Finding]:
    last = ledger.entries()[-1]
    if Journal(ledger).path.exists():
        yield Finding("apply", f"@{ledger.next_id()}", "is under way, or was interrupted")
    elif last.result == "failed":
        yield Finding("apply", f"@{last.id}", f"failed and was not gone back from: {last.reason}")


def _files(desired: Desired) -> Iterator[Finding]:
    folder = desired.topology.layout.config
    manifest = read_manifest(folder)
    for file in desired.files:
        content = read_content(folder / file.path)
        if content is None:
            yield Finding("file", file.path, "is missing")
        elif digest(content) != file.digest:
            ours = manifest.owns(file.path, content)
            yield Finding("file", file.path, "was generated anew but not applied" if ours else EDITED)
        elif (mode := own_mode(folder / file.path)) != file.mode:
            yield Finding("file", file.path, f"has mode {mode:04o} instead of {file.mode:04o}")
    wanted = {file.path for file in desired.files}
    for path in sorted(manifest.files):
        if path not in wanted and (folder / path).exists():
            yield Finding("file", path, "was generated but is no part of what was applied")


def _services(snapshot: Snapshot, engine: Engine, tools: Tools) -> Iterator[Finding]:
    desired = snapshot.desired
    observed = engine.observe()
    if not observed.running and desired.topology.services:
        yield Finding("service", "stack", "does not run")
        yield from _ports(desired, observed)
        return
    plan: Plan = mended(engine.plan(desired, observed), desired, engine, tools.proof)
    plan = with_redis_certificate(plan, snapshot.spec, desired.topology, observed)
    for step in plan.changes:
        if step.action is Action.REMOVE:
            what = "runs but is no part of what was applied"
        elif step.reason == "not there yet":
            what = "is gone"
        elif step.action in {Action.RELOAD, Action.RESTART} and step.reason.endswith(" changed"):
            what = f"runs with an older configuration: {step.reason}"
        else:
            what = step.reason
        yield Finding("service", step.service, what)
    yield from _ports(desired, observed)


def _ports(desired: Desired, observed: Observed) -> Iterator[Finding]:
    """Ports of services that do not run, which somebody else has taken."""
    idle = [
        service
        for service in desired.topology.services
        if (seen := observed.services.get(service.name)) is None or seen.pid is None
    ]
    if not idle or desired.topology.engine != "native":
        return
    holders = listeners()
    for service in idle:
        if (holder := holders.get(service.port)) is not None:
            yield Finding("stranger", service.name, f"its port {service.port} is held by {holder}")

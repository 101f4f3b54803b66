"""All readers of the own stack by their sources, and what the app is given of them each minute.

They need this host, the engine and the state directory: app, Redis and database may be down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.files import let_read, write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.apply.knowledge import follow
from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.incidents.bundle import material_json
from techsapo_ops.incidents.gather import Reader, gather, worded
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.readers.runbook import OwnRunbooks
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.app.rendered_spec import app_user
from techsapo_ops.services.prometheus.scrape import own_commands
from techsapo_ops.stack.layout import EVIDENCE_FILE, EVIDENCE_FOLDER
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.evidence import changes, seen

JOB = "evidence"
SPAN = timedelta(hours=1)
"""How far back the job looks: an alert of half an hour ago has its half hour before."""
_SECONDS = 30.0
_Own = Callable[[Stack, Subject, datetime, datetime], Material]
_SOURCES: Mapping[str, _Own] = {
    msg("applies"): changes.applies,
    msg("jobs"): partial(changes.ran, own=JOB),
    msg("certificates"): changes.certificates,
    msg("services"): seen.services,
    msg("logs of the services"): seen.logs,
    msg("kernel log"): seen.kernel,
    msg("health"): seen.health,
    msg("this host"): seen.host,
}


def own_readers(stack: Stack) -> dict[str, Reader]:
    """A reader for each source of the own stack, and its runbooks."""
    runbooks = OwnRunbooks(stack.spec.locale, len(stack.spec.hosts), own_commands(stack.topology))
    drifted = partial(_in_its_language, stack, changes.drifted)  # seconds of work: not each minute
    return {**_readers(stack), msg("differences from the last apply"): drifted, msg("runbook"): runbooks}


def _readers(stack: Stack) -> dict[str, Reader]:
    return {name: partial(_in_its_language, stack, read) for name, read in _SOURCES.items()}


def _in_its_language(stack: Stack, read: _Own, subject: Subject, start: datetime, end: datetime) -> Material:
    """What `read` reads, worded in the stack's language: evidence is stored, sent and compared as it is."""
    material, language = read(stack, subject, start, end), stack.spec.locale

    def said(text: str) -> str:
        return str.__str__(in_language(text, language))

    return replace(
        material,
        changes=tuple(replace(c, text=said(c.text), detail=said(c.detail)) for c in material.changes),
        facts=tuple(replace(f, name=said(f.name), value=said(f.value)) for f in material.facts),
    )


def job(context: JobContext) -> JobResult:
    """Let the app have the team's own files as they are now, and what it can't see of its stack where each of
    its instances reads it. Raises OpsError.
    """
    stack, now = context.stack(), datetime.now(UTC)
    if follow(stack, context.tell):
        stack.engine.deliver()
    if stack.spec.investigate is None:
        return JobResult()
    material = gather(Subject(now), now - SPAN, now, _readers(stack), _SECONDS)
    for each in material.unread:
        context.tell(f"{each.source}: {each.reason}")
    say = partial(in_language, language=stack.spec.locale)
    text = json.dumps(material_json(worded(material, say)), ensure_ascii=False)
    for folder in _folders(stack.topology):
        _let_the_app_read(stack.topology, folder)
        write_atomic(folder / EVIDENCE_FILE, text.encode(), 0o644)
    return JobResult(msg("{read} sources were read, {unread} were not",
                         read=len(material.read), unread=len(material.unread)))  # fmt: skip


def _folders(topology: Topology) -> list[Path]:
    """The folder beside the app's configuration."""
    beside = topology.layout.config / topology.places.rendered / App.facts.kind
    return [beside / EVIDENCE_FOLDER] if beside.is_dir() else []


def _let_the_app_read(topology: Topology, folder: Path) -> None:
    """Make the folder for its owner and the app's user alone: logs of the stack are in it."""
    with opened(folder, make=0o700):
        pass
    uid = app_user(topology)
    let_read(folder, [] if uid is None else [uid])

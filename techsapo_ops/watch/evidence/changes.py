"""What was done to the own stack: applies with what they changed, runs of jobs, certificates, drift."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.adapters.json_files import DAMAGED
from techsapo_ops.apply.ledger_entry import LedgerEntry, describe_files
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Change, Fact, Material, Subject
from techsapo_ops.jobs.runs import Run, Runs
from techsapo_ops.masking.fields import masked_fields, without_logins
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.stack import Stack

if TYPE_CHECKING:
    from techsapo_ops.apply.drift import DriftReport
    from techsapo_ops.apply.ledger import Ledger

BACK = timedelta(hours=24)
"""How long before the end of the window changes still count: what they do may take hours to show."""
_MOST_APPLIES = 12
_MOST_DETAIL = 6_000
"""Characters of what an apply changed."""
_MOST_PRINTED = 1_500
"""Bytes of what a run of a job printed."""
_MOST_DIFF = 1_500
"""The same of one file."""


def applies(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """The applies of the day before `end`, with what each changed. Raises OpsError."""
    ledger = first_use(lambda: _ledger(stack))
    entries = ledger.entries()
    recent = [e for e in entries if end - BACK <= e.time <= end][-_MOST_APPLIES:]
    changes = tuple(_apply(ledger, entry, entries) for entry in recent)
    return Material(subject, start, end, changes=changes)


def _ledger(stack: Stack) -> Ledger:
    """Imported here, as what compares with the last apply, while slow sources are waited for."""
    from techsapo_ops.apply.ledger import Ledger

    return Ledger(stack.layout.state)


def _apply(ledger: Ledger, entry: LedgerEntry, entries: tuple[LedgerEntry, ...]) -> Change:
    services = dict.fromkeys(step.service for step in entry.steps)
    what = joined("; ", filter(None, (describe_files(entry.files), ", ".join(services), entry.reason)))
    text = msg(
        "apply @{id} (`techsapo {command}` by {user}, {result}): {what}",
        id=entry.id, command=entry.command, user=entry.user, result=entry.result,
        what=what or msg("no change"),
    )  # fmt: skip
    before, detail = [e for e in entries if e.id < entry.id and e.good], ""
    if before:
        detail = "\n".join(f"{kind} {path}" for path, kind in entry.files)
        # Where its secrets are forgotten, its files are forgotten with them.
        with suppress(OpsError, *DAMAGED):
            detail = "\n".join(_differences(ledger, before[-1], entry)) or detail
    return Change(
        entry.time,
        "apply",
        text,
        detail[:_MOST_DETAIL],
        next(iter(services), "") if len(services) == 1 else "",
    )


def _differences(ledger: Ledger, old: LedgerEntry, new: LedgerEntry) -> Iterator[str]:
    """What differs between two applies: fields of the spec, then the files, the shortest difference first."""
    from techsapo_ops.apply.changes import unified_diff

    before, after = (json.loads(ledger.content(entry.state)) for entry in (old, new))
    was, now = (dict(_fields(masked_fields(document["spec"]))) for document in (before, after))
    for path in sorted(was.keys() | now.keys()):
        if was.get(path) != now.get(path):
            yield f"{path}: {was.get(path, '-')} → {now.get(path, '-')}"
    files = [{file["path"]: file for file in document["files"]} for document in (before, after)]
    diffs = []
    for path in sorted(files[0].keys() | files[1].keys()):
        each = [file.get(path) for file in files]
        if len({file["digest"] if file is not None else "" for file in each}) == 1:
            continue
        texts = [ledger.content(file["digest"]) if file is not None else b"" for file in each]
        secret = any(file is not None and file["secret"] for file in each)
        diffs.append(
            unified_diff(path, *texts, secret=secret, before=f"@{old.id}", after=f"@{new.id}")[:_MOST_DIFF]
        )
    yield from sorted(diffs, key=len)


def _fields(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a spec by its dotted path."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _fields(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and any(isinstance(value, Mapping) for value in node):
        for number, value in enumerate(node):
            yield from _fields(value, f"{path}[{number}]")
    else:
        yield path, without_logins(json.dumps(node, ensure_ascii=False))


def drifted(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """What is no longer as it was applied; a file as of when it was written. Raises OpsError."""
    report = first_use(_drift)(stack)
    changes = tuple(
        Change(
            _written(stack.layout.config / each.name) if each.kind == "file" else end,
            "drift",
            msg("{kind} {name}: {what}", kind=each.kind, name=each.name, what=each.what),
            service=each.name if stack.topology.find(each.name) is not None else "",
        )
        for each in report.findings
    )
    return Material(subject, start, end, changes=changes)


def _drift() -> Callable[[Stack], DriftReport]:
    from techsapo_ops.apply.drift import drift
    from techsapo_ops.apply.history import History

    return lambda stack: drift(History.of(stack))


def _written(path: Path) -> datetime:
    """When a file was written; now for one that is gone."""
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime).astimezone()
    except OSError:
        return datetime.now().astimezone()


def ran(stack: Stack, subject: Subject, start: datetime, end: datetime, own: str = "") -> Material:
    """The runs of jobs in the window but those of the job `own`, which reads this. Raises OpsError."""
    runs = Runs(stack.layout.jobs)
    changes = [
        Change(run.started, "job", _run(run), _printed(runs.log(run)), host=run.host)
        for name in jobs()
        if name != own
        for run in runs.of(name)
        if run.started <= end and run.started + timedelta(seconds=run.seconds or 0) >= start
    ]
    return Material(subject, start, end, changes=tuple(changes))


def _printed(log: Path) -> str:
    """The end of what a run printed, such as the differences that the job `drift` saw."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _MOST_PRINTED))
            return file.read().decode(errors="replace")
    except OSError:  # it printed nothing, or is not this user's to read
        return ""


def _run(run: Run) -> str:
    words = run.error or run.summary
    said = msg("job {job}: {result}", job=run.job, result=run.result)
    return msg("{said}: {words}", said=said, words=words.partition("\n")[0]) if words else said


def certificates(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """Each certificate, and which began or ended lately. Raises OpsError."""
    if not stack.spec.certificates:
        return Material(subject, start, end)
    from techsapo_ops.certs.needs import certificates_of  # with cryptography
    from techsapo_ops.certs.status import status

    facts, changes = [], []
    for each in status(certificates_of(stack, lambda _: None)):
        ends = msg("ends {ends:%Y-%m-%d %H:%M} UTC", ends=each.not_after) if each.not_after else each.where
        value = joined("; ", (ends, *each.attention))
        facts.append(Fact(msg("certificate {name}", name=each.name), value, ok=not each.attention))
        moments = (
            (each.renewed_at, msg("was renewed")),
            (each.not_before, msg("begins")),
            (each.not_after, msg("ended")),
        )
        changes += [
            Change(at, "certificate", msg("certificate {name} {what}", name=each.name, what=what))
            for at, what in moments
            if at is not None and end - BACK <= at <= end
        ]
    return Material(subject, start, end, changes=tuple(changes), facts=tuple(facts))

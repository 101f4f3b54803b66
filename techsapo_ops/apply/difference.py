"""What changed between an earlier apply and now: files as unified diffs, services in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from techsapo_ops.adapters.written import read_manifest
from techsapo_ops.apply.changes import read_content, unified_diff
from techsapo_ops.apply.history import History
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.layout import Layout


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file: `kind` is added, changed or removed since; `diff` never shows a secret."""

    path: str
    kind: str
    diff: str


@dataclass(frozen=True, slots=True)
class ServiceDifference:
    """One service, and what became of it since, in words."""

    service: str
    what: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between the apply `since` and now; `now` is the last good apply."""

    since: LedgerEntry
    now: LedgerEntry
    files: tuple[FileDifference, ...]
    services: tuple[ServiceDifference, ...]


def difference(history: History, reference: str | None) -> Difference:
    """Compare an apply (by default the last good one before the present) with the files as they are now.

    Raises OpsError where there is no such apply, or its files are no longer kept.
    """
    ledger = history.ledger
    since = history.choose(reference)
    current = ledger.current()
    assert current is not None, "choose found a good one"  # noqa: S101 - a mistake of ours, no input
    old, new = ledger.load_state(since).desired, ledger.load_state(current).desired
    files = tuple(_files(since, old, history.layout))
    return Difference(since, current, files, tuple(_services(old, new)))


def _files(since: LedgerEntry, old: Desired, layout: Layout) -> Iterator[FileDifference]:
    manifest = read_manifest(layout.config)
    before = {file.path: file for file in old.files}
    for path in sorted({*before, *manifest.files}):
        file = before.get(path)
        content = read_content(layout.config / path)
        was = file.content.encode() if file is not None else None
        if was == content:
            continue
        kind = "added" if was is None else "removed" if content is None else "changed"
        written = manifest.files.get(path)
        secret = (file is not None and file.secret) or (written is not None and written.secret)
        diff = unified_diff(
            path, was or b"", content or b"", secret=secret, before=f"@{since.id}", after="now"
        )
        yield FileDifference(path, kind, diff)


def _services(old: Desired, new: Desired) -> Iterator[ServiceDifference]:
    before = {s.name for s in old.topology.services}
    after = {s.name for s in new.topology.services}
    moved = tuple(dict.fromkeys(topology.engine for topology in (old.topology, new.topology)))
    if len(moved) > 1:
        yield ServiceDifference("stack", msg("engine {moved}", moved=" → ".join(moved)))
    for name in sorted(before - after):
        yield ServiceDifference(name, "removed")
    for name in sorted(after - before):
        yield ServiceDifference(name, "added")
    for unit in new.units:
        was = old.unit(unit.service)
        if was is not None and (what := unit.differs_from(was)):
            yield ServiceDifference(unit.service, what)

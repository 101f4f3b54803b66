"""Where each change of a plan comes from: the user's spec, a new version, this host, or elsewhere.

The last good apply is rendered again, one thing at a time: its spec by this version, then on this host as it
is now. What the first differs in from what was recorded is due to the version, what the second differs in
from the first to the host, and the rest to the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from techsapo_ops.adapters.build import build
from techsapo_ops.apply.changes import ChangeKind, FileChange
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.snapshot import Snapshot, spec_now
from techsapo_ops.engines.planning import file_digests
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import resolve
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology


class Origin(StrEnum):
    """What made a change necessary; the value is what `--json` says."""

    SPEC = "spec"
    """The spec, what it refers to, or the operator's own templates."""
    VERSION = "version"
    HOST = "host"
    OUTSIDE = "outside"
    """Somebody else changed a file, a process or a container."""
    ENDED = "ended"
    UNFINISHED = "unfinished"
    CERTIFICATE = "certificate"
    FIRST = "first"
    """Nothing was applied before."""
    START = "start"
    """It was not running."""
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """For people."""
        return _WORDS[self]


_WORDS = {
    Origin.SPEC: msg("your spec"),
    Origin.VERSION: msg("a new version"),
    Origin.HOST: msg("this host"),
    Origin.OUTSIDE: msg("outside techsapo"),
    Origin.ENDED: msg("it exited on its own"),
    Origin.UNFINISHED: msg("an earlier apply did not finish"),
    Origin.CERTIFICATE: msg("a certificate"),
    Origin.FIRST: msg("first start"),
    Origin.START: msg("it was not running"),
    Origin.UNKNOWN: msg("unknown: the last apply can't be compared"),
}

Origins = tuple[Origin, ...]
Render = Callable[[Topology, Mapping[str, str] | None], Desired]
"""Renders a spec for a topology, with the operator's templates as they were (None: as they are now)."""


@dataclass(frozen=True, slots=True)
class PlanOrigins:
    """Origins of a plan's changes: of files by path, of steps by service."""

    files: Mapping[str, Origins] = field(default_factory=dict)
    services: Mapping[str, Origins] = field(default_factory=dict)


def find(
    wanted: Snapshot,
    steps: Plan,
    files: Iterable[FileChange],
    observed: Observed,
    render: Render,
) -> PlanOrigins:
    """Where the changes of a plan come from. Renders nothing where nothing but the spec can have changed."""
    ledger = Ledger(wanted.desired.topology.layout.state)
    base = ledger.current()
    changed_files, changed_steps = tuple(files), steps.changes
    if base is None:
        every = (Origin.FIRST,)
        return PlanOrigins(
            {c.path: _with_edits(c, every) for c in changed_files}, {s.service: every for s in changed_steps}
        )
    chain: tuple[Desired, ...]
    try:
        chain = _chain(ledger.load_state(base), base, wanted, render)
    except OpsError:  # damaged, or a spec that this version no longer takes; the next apply is compared again
        chain = ()
    return PlanOrigins(
        {c.path: _of_file(c, chain) for c in changed_files},
        {s.service: _of_step(s, chain, observed.services.get(s.service)) for s in changed_steps},
    )


def _chain(base: Snapshot, entry: LedgerEntry, wanted: Snapshot, render: Render) -> tuple[Desired, ...]:
    """The recorded state, then with this version, then on this host, then what is wanted."""
    recorded, present = base.desired.topology, wanted.desired.topology
    by_us = entry.version == build() and entry.restores is None
    same_host = recorded.host == present.host

    def rendered(host: Topology) -> Desired:
        spec = spec_now(base)
        where = resolve(spec, recorded.places, present.layout, host.host)
        return render(where, base.overrides)

    again = base.desired if by_us else rendered(recorded)
    here = again if same_host else rendered(present)
    return base.desired, again, here, wanted.desired


_LINKS = (Origin.VERSION, Origin.HOST, Origin.SPEC)


def _differences(chain: tuple[Desired, ...], look: Callable[[Desired], object]) -> Origins:
    """Which links of `chain` change what `look` sees, where its ends differ."""
    if not chain:
        return (Origin.UNKNOWN,)
    seen = [look(desired) for desired in chain]
    if seen[0] == seen[-1]:
        return ()
    return tuple(origin for origin, (a, b) in zip(_LINKS, pairwise(seen), strict=True) if a != b)


def _of_file(change: FileChange, chain: tuple[Desired, ...]) -> Origins:
    def look(desired: Desired) -> object:
        return next(((f.digest, f.mode) for f in desired.files if f.path == change.path), None)

    return _with_edits(change, _differences(chain, look)) or (Origin.OUTSIDE,)


def _with_edits(change: FileChange, origins: Origins) -> Origins:
    return (*origins, Origin.OUTSIDE) if change.kind is ChangeKind.EDITED else origins


def _of_step(step: Step, chain: tuple[Desired, ...], seen: ObservedService | None) -> Origins:
    name = step.service
    if step.action is Action.REMOVE:
        origins = _differences(chain, lambda desired: _defined(desired, name))
    elif seen is None:
        origins = _differences(chain, lambda desired: _defined(desired, name)) or (Origin.START,)
    elif seen.state is State.STOPPED:
        origins = (Origin.OUTSIDE if seen.gone else Origin.START,)
    else:
        origins = _differences(chain, lambda desired: _definition(desired, name))
    if seen is not None and seen.outdated and Origin.VERSION not in origins:
        origins = (Origin.VERSION, *origins)
    return origins or (_otherwise(step, seen),)


def _otherwise(step: Step, seen: ObservedService | None) -> Origin:
    """For a step that none of the three explains."""
    if seen is None:
        return Origin.OUTSIDE
    if seen.state in {State.CRASHED, State.BACKOFF}:
        return Origin.ENDED
    if "certificate" in step.reason:
        return Origin.CERTIFICATE
    return Origin.UNFINISHED if not (seen.drift or seen.fingerprint) else Origin.OUTSIDE


def _definition(desired: Desired, name: str) -> object:
    unit = desired.unit(name)
    return unit and (unit.fingerprint, file_digests(unit, desired.files))


def _defined(desired: Desired, name: str) -> bool:
    """Whether the stack has the service; an apply of some services only has all of them in its files."""
    if desired.unit(name) is not None:
        return True
    places = desired.topology.places
    line = places.defines(name)
    return any(
        line == each.strip()
        for f in desired.files
        if f.path in places.definitions
        for each in f.content.splitlines()
    )

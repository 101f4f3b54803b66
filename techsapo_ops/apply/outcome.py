"""How the steps of an apply ended, for the user, row by row, and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.apply.ledger_entry import Done, LedgerEntry
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.starters import nobody_starts
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology

_TEXTFILE = "apply"
"""Name of the file for node exporter's textfile collector, and value of its label `name`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step ended: `error` is None for a service that passed its gate and runs what was wanted."""

    step: Step
    seconds: float
    error: OpsError | None = None

    @property
    def recorded(self) -> Done | None:
        """What the ledger keeps of it; nothing of a service that was left as it was."""
        step, error = self.step, self.error
        if step.action is Action.NOTHING and error is None:
            return None
        first = error.message.splitlines()[0] if error is not None else None
        return Done(str(step.action), step.service, step.reason, round(self.seconds, 3), first)


class Listener(Protocol):
    """Told how the work goes."""

    def say(self, text: str) -> None:
        """A line about what is being done."""
        ...

    def warn(self, text: str) -> None:
        """A line that is shown whatever else was asked for."""
        ...

    def done(self, outcome: Outcome) -> None:
        """A step has ended."""
        ...


@dataclass(frozen=True, slots=True)
class GoneBack:
    """The way back after a failure: to which apply, and what of it failed too."""

    to: int
    snapshot: Snapshot | None
    outcomes: tuple[Outcome, ...]
    error: OpsError | None = None

    @property
    def failures(self) -> tuple[OpsError, ...]:
        """Why the stack is not entirely what it was; none when it is."""
        errors = [o.error for o in self.outcomes if o.error is not None]
        return (*errors, self.error) if self.error is not None else tuple(errors)


@dataclass(frozen=True, slots=True)
class Applied:
    """How an apply ended. `entry` is None when there was nothing to do and nothing to record.

    `error` is a failure that is no service's, such as a full disk.
    """

    outcomes: tuple[Outcome, ...]
    entry: LedgerEntry | None = None
    back: GoneBack | None = None
    error: OpsError | None = None


def not_back(lost: Mapping[str, str], to: int) -> OpsError | None:
    """The error for machines that were not rolled back, since they do not answer; None where all were."""
    if not lost:
        return None
    reasons = "; ".join(f"{name}: {why}" for name, why in lost.items())
    return OpsError(
        msg("some hosts were not rolled back ({reasons}): they may be running the failed apply, or may "
            "start it when they come back", reasons=reasons),
        msg("once host {name} answers, run `techsapo rollback @{to}`, or `techsapo up` with a spec that "
            "works; if that host is lost for good, run `techsapo hosts replace {name}`",
            name=next(iter(lost)), to=to),
    )  # fmt: skip


def tell_prometheus(entry: LedgerEntry, layout: Layout, warn: Callable[[str], None]) -> None:
    """Leave the newest apply for Prometheus in place of the one before, which that has by now.

    The apply is done and recorded: where this can't be written, `warn` says so.
    """
    labels = {
        "number": str(entry.id), "user": entry.user, "command": entry.command, "result": entry.result,
        "files": str(len(entry.files)),
    }  # fmt: skip
    ended = entry.time.timestamp() + entry.seconds
    samples = [
        Sample("techsapo_apply_timestamp_seconds", ended, labels),
        Sample("techsapo_apply_duration_seconds", entry.seconds, {"number": str(entry.id)}),
    ]
    try:
        write_textfile(layout.textfiles, _TEXTFILE, samples)
    except OpsError as error:
        warn(msg("the dashboards will not show this apply: {message}", message=error.message))


FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Row:
    """One service: `state` is a word of stack.engine.State, or `failed`."""

    service: str
    kind: str
    state: str
    url: str
    note: str = ""


def row(topology: Topology, service: Service, seen: ObservedService | None, failed: bool) -> Row:
    """The row of `service`, which runs as `seen`."""
    state = seen.state if seen is not None else State.STOPPED
    if state is State.STARTING:
        state = State.RUNNING  # it passed its gate a moment ago; the supervisor calls it so a second later
    shown = topology.published(service) or not service.port
    share = _share(topology, service) if shown else msg("private to the stack")
    return Row(
        service.name,
        service.kind,
        FAILED if failed else str(state),
        service_url(topology, service),
        share,
    )


def _share(topology: Topology, service: Service) -> str:
    """How much of the requests a balanced service gets, where there are several."""
    balanced = {kind.balances for kind in kinds()}
    if service.kind not in balanced or len(topology.of_kind(service.kind)) < 2:
        return ""
    return (
        msg("weight {weight}, backup", weight=service.weight)
        if service.backup
        else msg("weight {weight}", weight=service.weight)
    )


def service_url(topology: Topology, service: Service) -> str:
    """Where a user of this host reaches `service`; empty for what is private to the stack."""
    return kind_of(service).url(topology, service) if topology.published(service) else ""


def notes(topology: Topology, runner: Runner) -> tuple[str, ...]:
    """What the stack does by default or leaves out by choice, one sentence each."""
    lines = [note for kind in kinds() for note in kind.notes(topology)]
    if nobody := nobody_starts(topology, runner):
        lines.append(nobody)
    # nginx's master is root by design: its workers drop to www-data.
    as_root = [s for s in topology.services if topology.places.as_root(s, topology.host)]
    if as_root:
        names = ", ".join(dict.fromkeys(s.kind for s in as_root))
        users = ", ".join(dict.fromkeys(s.facts.user for s in as_root))
        lines.append(
            msg(
                "running as root: {names}. There is no user {users} who can access {parent} and this Python "
                "(details: `techsapo doctor`)",
                names=names,
                users=users,
                parent=topology.layout.state.parent,
            )
        )
    return tuple(lines)

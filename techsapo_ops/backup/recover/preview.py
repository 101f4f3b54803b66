"""What a recovery would do on this host: looked at before anything is placed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from techsapo_ops import __version__
from techsapo_ops.adapters.resources import human, room
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.recover.doors import Prospect
from techsapo_ops.backup.recover.draft import Choice, Draft
from techsapo_ops.backup.recover.journal import Asked
from techsapo_ops.backup.recover.keys import copied_endings, working
from techsapo_ops.backup.recover.placing import Places
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.stack.backup import BackupKind, Part
from techsapo_ops.stack.health import Level
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Absent, Topology
from techsapo_ops.stores.key_endings import Endings, sooner
from techsapo_ops.stores.keys import ApiKey


@dataclass(frozen=True, slots=True)
class Row:
    """A part of the data: what it holds, what it was of, and why it can't come back, where it can't."""

    kind: str
    holds: str
    server: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a recovery would do. `blockers` (what, what to try) keep it from going on."""

    choice: Choice
    copied: Copied
    draft: Draft
    places: Places
    prospect: Prospect
    rows: tuple[Row, ...]
    cannot: tuple[tuple[str, str], ...]
    differs: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    blockers: tuple[tuple[str, str], ...]
    keys: tuple[ApiKey, ...]
    """The API keys that will work, unless all are revoked."""
    endings: Endings
    """Which keys were revoked, and when others end, by this copy and the newest one."""
    revoke_all_keys: bool


def preview_of(
    choice: Choice, copied: Copied, places: Places, draft: Draft, prospect: Prospect, asked: Asked
) -> Preview:
    """All of it as values; nothing is changed.

    Raises OpsError where the copy's record of administration can't be read.
    """
    endings = sooner(copied_endings(copied), choice.later)
    rows = tuple(row for _, row in _rows(copied, prospect.stack, asked))
    return Preview(
        choice, copied, draft, places, prospect, rows, tuple(_cannot(copied, rows, prospect.stack)),
        tuple(_differs(copied, prospect, places, draft)), tuple(_notes(prospect, choice)),
        tuple(_blockers(copied, prospect, rows, draft)),
        working(copied, prospect.stack.spec, endings), endings, asked.revoke_all_keys,
    )  # fmt: skip


def _rows(copied: Copied, stack: Stack, asked: Asked) -> Iterator[tuple[Part, Row]]:
    """Each part but the configuration, which is placed."""
    for part in (*copied.backup.read().parts, *_copies(copied)):
        kind = registry.find(part.source)
        if kind is not None and kind.is_configuration:
            continue
        holds = registry.describe(part) if kind is not None else ""
        if kind is None:
            why = msg(
                "this version of techsapo can't restore this data: docs/backup.md shows how to unpack it by "
                "hand"
            )
        elif part.source in asked.without or part.kind in asked.without:
            why = msg("left out by --without")
        else:
            gone = _absent(stack.topology, kind, part.kind)
            why = gone.reason if gone is not None else kind.homeless(stack, part.kind)
        yield part, Row(part.kind, holds, part.server, why)


def _absent(topology: Topology, kind: BackupKind, part: str) -> Absent | None:
    """The service that this host lacks for a part."""
    service = kind.service(part)
    return next((each for each in topology.absent if each.kind == service), None)


def _copies(copied: Copied) -> Iterator[Part]:
    """What goes off-site alone, and came along."""
    folder = copied.of(What.COPIES)
    for backup in Repository(folder).backups() if folder is not None else ():
        yield from backup.read().parts


def _cannot(copied: Copied, rows: Sequence[Row], stack: Stack) -> Iterable[tuple[str, str]]:
    yield from ((row.kind, row.why) for row in rows if row.why)
    for each in stack.topology.absent:
        yield msg("{kind} does not run here", kind=each.kind), joined(": ", (each.reason, each.remedy))
    names = {row.kind.partition(":")[0] for row in rows}
    for what, why in copied.description.left.items():
        kind = registry.find(what)
        if what not in names and not (kind is not None and kind.homeless(stack, what)):
            yield what, why
    for name, history in registry.histories().items():
        if name in names:
            yield (
                msg("the changes in {title} after this copy was made", title=history.title),
                msg("they were only on the old host"),
            )


def _differs(
    copied: Copied, prospect: Prospect, places: Places, draft: Draft
) -> Iterable[tuple[str, str, str]]:
    then, stack = copied.description, prospect.stack
    facts = (
        ("engine", then.engine, stack.topology.engine),
        ("folder", then.directory, str(stack.directory)),
        ("user", then.user, stack.user),
        ("techsapo", then.tool, __version__),
        ("environment", then.environment or "none", draft.environment or "none"),
    )
    yield from ((what, before, now) for what, before, now in facts if before and before != now)
    yield from ((each.item.what, each.item.path, f"{each.target}: {each.why}") for each in places.moved)


def _notes(prospect: Prospect, choice: Choice) -> Iterable[str]:
    spec = prospect.stack.spec
    if choice.parts:
        newest = choice.parts[-1].time.astimezone()
        yield (
            msg(
                "skipped {count} later copies with only part of the data, the newest from "
                "{newest:%Y-%m-%d %H:%M:%S}",
                count=len(choice.parts),
                newest=newest,
            )
        )
    named = {name for each in spec.certificates.values() for name in each.names}
    names = sorted(name for name in named if not is_loopback(name))
    if names:
        yield (
            msg(
                "DNS is unchanged: until {names} point to this host, users reach the old host, and no "
                "public CA renews a certificate",
                names=", ".join(names),
            )
        )
    if not prospect.stack.topology.places.from_images:
        yield msg(
            'the stack does not yet start by itself when this host reboots: docs/running.md, "After a reboot"'
        )
    if spec.backup.offsite is not None:
        yield (
            msg(
                "if the old host comes back, its jobs write to the same repository as this stack. Stop those "
                "jobs on the old host, or choose another repository for this stack with --set "
                "backup.offsite.restic=…"
            )
        )
    if prospect.stack.topology.machines:
        yield from _of_hosts(prospect)
    yield from prospect.warnings


def _of_hosts(prospect: Prospect) -> Iterator[str]:
    topology = prospect.stack.topology
    names = ", ".join(f"{machine.name} ({machine.address})" for machine in topology.machines)
    yield msg("the stack will run on {names}", names=names)
    if prospect.hosts.joining:
        joining = ", ".join(prospect.hosts.joining)
        yield msg("hosts that will join the Swarm: {joining}", joining=joining)
    if (address := topology.spec.floating_address) is not None:
        yield msg(
            "keep the old hosts switched off: an old host that comes back also has {address}, and its "
            "database accepts writes",
            address=address,
        )


def _blockers(
    copied: Copied, prospect: Prospect, rows: Sequence[Row], draft: Draft
) -> Iterable[tuple[str, str]]:
    stack = prospect.stack
    if prospect.there:
        yield (
            msg(
                "this host already runs a stack named {project}: {there}",
                project=stack.spec.project,
                there=", ".join(prospect.there),
            ),
            msg("recover on an empty host, or run `techsapo down --volumes` in the folder of that stack"),
        )
    yield from prospect.hosts.blockers
    absent = {each.kind for each in stack.topology.absent}
    for finding in prospect.diagnosis.findings:
        if finding.level is Level.MISSING and finding.name not in absent:
            install = f"apt-get install {finding.package}" if finding.package else ""
            yield msg("{name}: {detail}", name=finding.name, detail=finding.detail), finding.remedy or install
    for row in rows:
        kind = registry.find(row.kind.partition(":")[0])
        gone = _absent(stack.topology, kind, row.kind) if kind is not None else None
        if kind is not None and gone is not None and row.why == gone.reason:
            packages = [f.package for f in prospect.diagnosis.findings if f.name == gone.kind and f.package]
            remedy = f"apt-get install {packages[0]}" if packages else gone.remedy
            yield (
                msg("{kind} can't be restored: {homeless}", kind=row.kind, homeless=gone.reason),
                msg("{remedy}; or add --without {kind}", remedy=remedy, kind=kind.name),
            )
    raw = sum(part.raw_bytes for part in copied.backup.read().parts)
    free = room(draft.file.parent).free_bytes
    if raw > free:
        yield (
            msg(
                "the data needs {size}, but {into} has only {free} free",
                size=human(raw),
                into=draft.file.parent,
                free=human(free),
            ),
            msg("make room, or recover --into a folder on another disk"),
        )


def restorable(copied: Copied, stack: Stack, asked: Asked) -> tuple[str, ...]:
    """The kinds of data that come back, as `restore --only` names them."""
    back = [part.source for part, row in _rows(copied, stack, asked) if not row.why]
    return tuple(dict.fromkeys(back))


def missing_variables(copied: Copied) -> tuple[str, ...]:
    """Variables that the spec read out of the old host's environment alone and that are not set here."""
    return tuple(name for name in copied.description.variables if name not in os.environ)


def age(copied: Copied) -> float:
    """Seconds from the moment of the data to now."""
    return max((datetime.now(UTC) - copied.backup.read().started).total_seconds(), 0.0)

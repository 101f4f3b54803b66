"""What a restore would do: looked at before anything is touched, or tried in throwaway servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from techsapo_ops.apply.stop import require_runs
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.kinds.registry import require_room
from techsapo_ops.backup.offsite import secret_copy
from techsapo_ops.backup.repository.folder import Backup, Repository, repository_of
from techsapo_ops.backup.repository.verify import check_part, faults
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.backup import Part, Target
from techsapo_ops.stack.engine import Scratch
from techsapo_ops.stack.observed import FOLDER_GONE, Observed, State
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Intent:
    """What a restore would do. `now` and `then` say by kind what is there and what will be."""

    backup: Backup
    parts: tuple[Part, ...]
    now: dict[str, str]
    then: dict[str, str]
    apps: tuple[str, ...]
    """Services that use the data, and are stopped meanwhile."""
    until: datetime | None = None
    absent: tuple[str, ...] = ()
    """Kinds of which nothing is there now."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Kinds that stay in the backup, though nobody said so, and why."""
    targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    """By kind, every file that is written, for the kinds of which files are."""
    copies: Path | None = None
    """Where what goes off-site alone is already, so that the repository need not be asked again."""

    @property
    def stopped(self) -> tuple[str, ...]:
        """Services that do not answer meanwhile."""
        kinds = [(part, registry.of(part)) for part in self.parts]
        servers = [kind.service(part.kind) for part, kind in kinds if kind.restarts]
        return tuple(dict.fromkeys((*self.apps, *servers)))

    @property
    def log(self) -> str:
        """What is replayed up to `until`, as a person calls it."""
        histories = [history for part in self.parts if (history := registry.of(part).history) is not None]
        return histories[0].title if histories else ""


def intend(
    stack: Stack,
    word: str = "latest",
    only: Sequence[str] = (),
    until: datetime | None = None,
    *,
    copies: Path | None = None,
) -> Intent:
    """See whether a backup can be brought back, and what that would replace; touches nothing.

    `copies` is a folder with what of it went off-site alone, where that has been fetched.

    Raises OpsError for a backup that is not whole or not ours, for a server that does not run, or one that is
    older than the server that was backed up.
    """
    for kind in only:
        if registry.find(kind) is None:
            raise unknown(msg("source"), kind, registry.names())
    if until is not None:
        only = _any_moment(only)
    repository = repository_of(stack)
    chosen = repository.find(word)
    if until is not None and word == "latest":
        chosen = _before(repository, only[0], until)
    if word == "latest" and until is None and repository.places is not None:
        repository.places.require_newest(chosen.read())
    _require_whole(chosen, faults(chosen, repository.origin(chosen)))
    parts, left = _choose(stack, chosen, only, copies)
    # What is off-site alone was opened when it was fetched.
    here = (part for part in parts if not registry.of(part).too_secret)
    _require_whole(
        chosen,
        [
            msg("{kind}: {problem}", kind=part.kind, problem=problem)
            for part in here
            for problem in check_part(stack, chosen, part)
        ],
    )
    observed = stack.engine.observe()
    _require_folders(observed, parts)
    for part in parts:
        service = registry.of(part).service(part.kind)
        there = stack.topology.meant(service) if service else ()
        instances = [observed.services[each.name] for each in there if each.name in observed.services]
        seen = next((each for each in instances if each.state is not State.STOPPED), None) or next(
            iter(instances), None
        )
        if seen is not None and seen.state is State.STOPPED:
            require_runs(stack.layout, service, msg("a restore"))
        if there and (seen is None or seen.state is State.STOPPED):
            raise OpsError(
                msg("{service} is not running", service=service), msg("`techsapo up` starts it; then restore")
            )
    now, then, targets = {}, {}, {}
    for part in parts:
        kind_of_part = registry.of(part)
        present, now[part.kind] = kind_of_part.present(stack, part)
        _require_able(part, present)
        kind_of_part.require(stack, part, chosen.reader(part))
        if listed := kind_of_part.targets(stack, part):
            targets[part.kind] = tuple(listed)
        then[part.kind] = kind_of_part.describe(part)
    stopped = {kind for part in parts for kind in registry.of(part).stops}
    services = [service for service in stack.topology.services if service.kind in stopped]
    apps = tuple(service.name for service in services if service.name in observed.services)
    absent = tuple(kind for kind, there in now.items() if not there)
    return Intent(chosen, parts, now, then, apps, until, absent, left, targets, copies)


def _require_folders(observed: Observed, parts: Sequence[Part]) -> None:
    """Raise OpsError where a service that would be stopped, or be given data, has lost its folder."""
    kinds = {kind for part in parts for kind in registry.of(part).stops}
    servers = {registry.of(part).service(part.kind) for part in parts}
    for name, seen in observed.services.items():
        if seen.drift == FOLDER_GONE and (name in servers or seen.kind in kinds):
            raise OpsError(
                msg("{name}: {gone}", name=name, gone=FOLDER_GONE),
                msg("`techsapo up` starts it with a new folder; then restore"),
            )


def _any_moment(only: Sequence[str]) -> tuple[str, ...]:
    """The one kind that `--to` is for. Raises OpsError where `only` names another."""
    able = tuple(registry.histories())
    if not able:
        raise OpsError(msg("--to: no data in the backups keeps a history"), exit_code=2)
    wanted = tuple(only) or able[:1]
    if len(wanted) != 1 or wanted[0] not in able:
        raise OpsError(
            msg("--to works with {able} only: no other data keeps a history", able=" or ".join(able)),
            msg("add --only {able}", able=able[0]),
            exit_code=2,
        )
    return wanted


def _before(repository: Repository, name: str, until: datetime) -> Backup:
    """The newest backup that had ended at `until` and from which that can be had. Raises OpsError."""
    history = registry.histories()[name]
    fit = [
        backup
        for backup in repository.backups()
        if backup.manifest is not None
        and backup.manifest.ended <= until
        and (part := backup.manifest.part(name)) is not None
        and history.begins(part)
    ]
    if not fit:
        when = f"{until.astimezone():%Y-%m-%d %H:%M:%S}"
        raise OpsError(
            msg("no backup made before {when} records a position in {title}", when=when, title=history.title),
            msg("`techsapo backup list` lists the backups"),
        )
    return fit[-1]


def _choose(
    stack: Stack, backup: Backup, only: Sequence[str], copies: Path | None
) -> tuple[tuple[Part, ...], Mapping[str, str]]:
    """The parts that come back, and by kind why others stay, though nobody said so. Raises OpsError."""
    manifest = backup.read()
    names = only or [kind.name for kind in registry.kinds() if not kind.by_name_only]
    wanted = [part for part in manifest.parts if part.source in names]
    for kind in registry.kinds():
        if kind.too_secret and kind.name in only:
            with secret_copy(stack, backup, kind, copies) as (part, _):
                wanted.append(part)
    missing = [kind for kind in only if kind not in {part.source for part in wanted}]
    if missing or not wanted:
        raise OpsError(
            msg(
                "backup {id} holds no {missing}",
                id=backup.id,
                missing=missing[0] if missing else msg("data to restore"),
            ),
            msg("`techsapo backup show` lists what a backup holds"),
        )
    parts = tuple(part for part in wanted if not registry.of(part).homeless(stack, part.kind))
    if not parts:
        raise OpsError(
            msg(
                "{kind} can't be restored: {homeless}",
                kind=wanted[0].kind,
                homeless=registry.of(wanted[0]).homeless(stack, wanted[0].kind),
            ),
            msg("docs/backup.md shows how to unpack {folder} by hand", folder=backup.folder),
        )
    return parts, {part.kind: why for part in manifest.parts if (why := _left(stack, part, only))}


def _left(stack: Stack, part: Part, only: Sequence[str]) -> str:
    """Why `part` is not restored; empty where it is, or where `only` leaves it out."""
    if only and part.source not in only:
        return ""
    kind = registry.find(part.source)
    if kind is None:
        return msg("has to be unpacked by hand: see docs/backup.md")
    if not only and kind.by_name_only:
        return msg("is restored only on request: --only {source}", source=part.source)
    return kind.homeless(stack, part.kind)


def _require_whole(backup: Backup, wrong: Sequence[str]) -> None:
    if wrong:
        raise OpsError(
            msg(
                "backup {id} can't be used: {wrong}\nnothing was touched",
                id=backup.id,
                wrong=joined("; ", wrong),
            ),
            msg(
                'choose another backup: `techsapo backup list`; see also docs/backup.md, "Whose backup it is"'
            ),
        )


def _require_able(part: Part, running: str) -> None:
    """Raise OpsError when `part` was made by a newer server than the one that runs."""
    made, present = _version(part.server), _version(running)
    if made > present:
        raise OpsError(
            msg(
                "{kind} was backed up from {server}, but the running {running} is older\nnothing was touched",
                kind=part.kind,
                server=part.server,
                running=running,
            ),
            msg("update the server first"),
        )


def _version(server: str) -> tuple[int, int]:
    numbers = re.search(r"(\d+)\.(\d+)", server)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


@contextmanager
def into_scratch(
    stack: Stack, intent: Intent, progress: Callable[[str, int], None]
) -> Iterator[dict[str, Scratch]]:
    """Throwaway servers by kind that hold what the backup does; gone after the block. Raises OpsError."""
    parts = [(part, registry.of(part)) for part in intent.parts]
    held = [(part, kind) for part, kind in parts if kind.throwaway]
    if not held:
        part, kind = parts[0]
        look = kind.by_hand(intent.backup.folder / part.file)
        if kind.too_secret:
            look = msg("`restic restore latest --tag {id} --target FOLDER` fetches it", id=intent.backup.id)
        raise OpsError(msg("{kind} can be inspected without a server", kind=kind.name), look)
    require_room(stack, [part for part, _ in held], at_once=True)
    with ExitStack() as servers:
        made: dict[str, Scratch] = {}
        for part, kind in held:
            reader = intent.backup.reader(part)
            made[part.kind] = servers.enter_context(
                kind.restored(stack, part, reader, partial(progress, part.kind))
            )
            if intent.until is not None and kind.history is not None:
                kind.history.prepare(stack, part, intent.until)(made[part.kind])
        yield made

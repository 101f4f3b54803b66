"""Brings a backup back into the running stack, and goes back by itself when that fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.origin import MAC, Origin, State
from techsapo_ops.backup.repository import SAFETY_TAG, Backup, Repository
from techsapo_ops.backup.verify import check_part, check_sums
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.backup import make as backups
from techsapo_ops.operations.backup import point_in_time
from techsapo_ops.operations.backup.bring_back import Live, Target
from techsapo_ops.operations.backup.live import LIVE, UNASKED
from techsapo_ops.operations.backup.point_in_time import Replay
from techsapo_ops.operations.backup.restore_journal import finished, interrupted, journal
from techsapo_ops.operations.backup.sources import Stack, checkers, mysql_door

Say = Callable[[str], None]
Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Intent:
    """What a restore would do. `now` and `then` say by kind what is there and what will be."""

    backup: Backup
    parts: tuple[Part, ...]
    now: dict[str, str]
    then: dict[str, str]
    apps: tuple[str, ...]
    """Instances of the app that are stopped meanwhile."""
    until: datetime | None = None
    absent: tuple[str, ...] = ()
    """Kinds of which nothing is there now."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Kinds that stay in the backup, though nobody said so, and why."""
    targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    """By kind, every file that is written, for the kinds of which files are."""
    origin: Origin = field(default_factory=lambda: Origin(State.AUTHENTICATED))

    @property
    def stopped(self) -> tuple[str, ...]:
        """Services that do not answer meanwhile."""
        servers = [LIVE[p.source].service(p.kind) for p in self.parts if LIVE[p.source].restarts]
        return tuple(dict.fromkeys((*self.apps, *servers)))


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `safety` is the backup of what was there before, empty where nothing was."""

    backup: str
    safety: str
    seconds: dict[str, float]
    total_seconds: float


def intend(
    stack: Stack,
    word: str = "latest",
    only: Sequence[str] = (),
    until: datetime | None = None,
    *,
    unauthenticated: bool = False,
) -> Intent:
    """See whether a backup can be brought back, and what that would replace; touches nothing.

    Raises OpsError for a backup that is not whole or was tampered with, for one of which nothing tells the
    origin unless `unauthenticated` allows that, for a server that does not run, or one that is older than the
    server that was backed up.
    """
    for kind in only:
        if kind not in LIVE:
            raise OpsError(
                f"{kind} is not restored into the running stack", f"there are: {', '.join(LIVE)}", exit_code=2
            )
    if until is not None:
        only = only or ("mysql",)
        if tuple(only) != ("mysql",):
            raise OpsError("--to is for mysql alone: Redis keeps no history", "add --only mysql", exit_code=2)
    repository = stack.repository
    chosen = repository.find(word)
    if until is not None and word == "latest":
        chosen = point_in_time.choose(repository, until)
    origin = _require_origin(repository, chosen, unauthenticated)
    manifest = chosen.read()
    wanted = [p for p in manifest.parts if p.source in (only or UNASKED)]
    wanted += [part for kind in only if (part := LIVE[kind].elsewhere(stack, chosen)) is not None]
    missing = [kind for kind in only if kind not in {p.source for p in wanted}]
    if missing or not wanted:
        raise OpsError(
            f"{chosen.id} holds no {missing[0] if missing else 'data to restore'}",
            "`techsapo backup show` lists it",
        )
    parts = tuple(p for p in wanted if not _homeless(stack, p))
    if not parts:
        raise OpsError(
            f"{wanted[0].kind} can't come back: {_homeless(stack, wanted[0])}",
            f"docs/backup.md shows how to unpack what {chosen.folder} holds by hand",
        )
    _require_whole(stack, chosen, parts)
    observed = stack.engine.observe()
    for part in parts:
        service = LIVE[part.source].service(part.kind)
        there = service and stack.topology.find(service) is not None
        if there and service not in observed.services:
            raise OpsError(f"{service} does not run", "`techsapo up` starts it; then restore")
    now, then, targets = {}, {}, {}
    for part in parts:
        present, now[part.kind] = LIVE[part.source].present(stack, part)
        _require_able(part, present)
        LIVE[part.source].require(stack, chosen, part)
        if listed := LIVE[part.source].targets(stack, part):
            targets[part.kind] = listed
        then[part.kind] = backups.content(part)
    stops = any(LIVE[part.source].stops_app for part in parts)
    apps = tuple(s.name for s in stack.topology.of_kind("app") if stops and s.name in observed.services)
    absent = tuple(kind for kind, there in now.items() if not there)
    left = {p.kind: why for p in manifest.parts if (why := _left(stack, p, only))}
    return Intent(chosen, parts, now, then, apps, until, absent, left, targets, origin)


def perform(
    stack: Stack,
    intent: Intent,
    *,
    wait: float = 0.0,
    say: Say = lambda _: None,
    told: Told = lambda _kind, _bytes: None,
) -> Restored:
    """Stop the app, back up what is there, bring the backup back, start the app, see that all is well.

    When something fails, or at Ctrl-C, the state from before is brought back. Raises OpsError saying so.
    """
    began = monotonic()
    layout = stack.topology.layout
    present = [part.source for part in intent.parts if part.kind not in intent.absent]
    offsite = any(LIVE[source].offsite for source in present)
    # What may lie off-site alone is put aside there, with a backup that goes there.
    kinds = tuple(dict.fromkeys("config" if LIVE[source].offsite else source for source in present))
    seconds: dict[str, float] = {}
    with locked(layout, wait):
        replayed: Replay | None = None
        if intent.until is not None:
            part = intent.parts[0]
            replayed = point_in_time.prepare(mysql_door(stack), part, intent.until, datetime.now(UTC))
        safety: Backup | None = None
        replaced = tuple(part.kind for part in intent.parts)
        try:
            for name in intent.apps:
                say(f"stopping {name}")
                stack.engine.halt(name)
            if kinds:
                say("backing up what is there")
                made = backups.make(stack, only=kinds, tag=SAFETY_TAG, offsite=offsite, wait=wait)
                safety = made.backup
            journal(layout, safety.id if safety is not None else "", replaced, intent.apps)
            for part in intent.parts:
                say(f"restoring {part.kind}")
                start = monotonic()
                LIVE[part.source].bring(stack, intent.backup, part, told)
                if replayed is not None:
                    say(f"replaying the binlog to {intent.until:%Y-%m-%d %H:%M:%S} UTC")
                    point_in_time.replay(mysql_door(stack), mysql_door(stack), replayed)
                else:
                    _require_same(stack, part)
                seconds[part.kind] = round(monotonic() - start, 3)
            _start(stack, intent.apps, say)
        except BaseException as error:
            if interrupted(layout) is None:  # nothing was replaced yet
                _start(stack, intent.apps, say)
                raise
            say("that failed; going back")
            _go_back(stack, safety, replaced, intent.apps, say, told)
            if isinstance(error, OpsError):
                raise OpsError(
                    f"{error.message}\nwent back: everything is as it was before the restore", error.hint
                ) from None
            raise
        finished(layout)
        for kind, live in _beside(replaced):
            live.done(stack, kind)
    return Restored(
        intent.backup.id, safety.id if safety is not None else "", seconds, round(monotonic() - began, 3)
    )


def recover(stack: Stack, *, wait: float = 0.0, say: Say = lambda _: None) -> str | None:
    """Go back from a restore that was killed; returns the id of the backup that was brought back, if any."""
    layout = stack.topology.layout
    left = interrupted(layout)
    if left is None:
        return None
    with locked(layout, wait):
        say("a restore was interrupted; going back to what was there before")
        safety = stack.repository.find(left.safety) if left.safety else None
        if safety is not None and (found := stack.repository.origin(safety)).state is State.TAMPERED:
            accept = f"`techsapo backup accept {safety.id}` where you know that it is yours, or "
            raise OpsError(
                f"going back is not possible: {safety.id} was tampered with, or is damaged: {found.why}",
                f'{accept if found.acceptable else ""}docs/backup.md, "Whose backup it is"',
            )
        _go_back(stack, safety, left.kinds, left.apps, say, lambda _kind, _bytes: None)
    return left.safety


def _go_back(
    stack: Stack, safety: Backup | None, kinds: Sequence[str], apps: Sequence[str], say: Say, told: Told
) -> None:
    try:
        for name in apps:
            stack.engine.halt(name)
        for kind, live in _beside(kinds):
            live.back(stack, kind)
        if safety is not None:
            for part in [p for p in safety.read().parts if p.kind in kinds]:
                if not LIVE[part.source].beside:
                    LIVE[part.source].bring(stack, safety, part, told)
                _require_same(stack, part)
        _start(stack, apps, say)
    except OpsError as error:
        kept = f"what was there is whole in the backup {safety.id}; " if safety is not None else ""
        raise OpsError(
            f"going back failed: {error.message}", f"{kept}`techsapo restore` tries again"
        ) from None
    finished(stack.topology.layout)


def _beside(kinds: Sequence[str]) -> list[tuple[str, Live]]:
    """Those of `kinds` of which what was replaced lies beside."""
    known = [(kind, LIVE[kind.partition(":")[0]]) for kind in kinds]
    return [(kind, live) for kind, live in known if live.beside]


def _start(stack: Stack, apps: Sequence[str], say: Say) -> None:
    for name in apps:
        say(f"starting {name}")
        stack.engine.restart(name)


def _homeless(stack: Stack, part: Part) -> str:
    return LIVE[part.source].homeless(stack, part.kind)


def _left(stack: Stack, part: Part, only: Sequence[str]) -> str:
    """Why `part` is not restored; empty where it is, or where `only` leaves it out."""
    if only and part.source not in only:
        return ""
    if part.source not in LIVE:
        return "is unpacked by hand: see docs/backup.md"
    if not only and LIVE[part.source].named_only:
        return f"comes back where --only names it: --only {part.source}"
    return _homeless(stack, part)


def _require_origin(repository: Repository, backup: Backup, unauthenticated: bool) -> Origin:
    """Raise OpsError for a backup that somebody has changed, or that anybody may have made."""
    origin = repository.origin(backup)
    if origin.state is State.TAMPERED:
        accept = f"or, where you know that it is yours, `techsapo backup accept {backup.id}`; "
        raise OpsError(
            f"{backup.id} was tampered with, or is damaged: {origin.why}\nnothing was touched",
            f"choose another one: `techsapo backup list`; {accept if origin.acceptable else ''}"
            'docs/backup.md, "Whose backup it is", tells how to get a lost key back',
        )
    if origin.state is State.UNAUTHENTICATED and not unauthenticated:
        lost = 'get the lost key back (docs/backup.md, "Whose backup it is"), '
        raise OpsError(
            f"{backup.id} is unauthenticated: {origin.why}. Nothing tells who wrote it\nnothing was touched",
            f"{lost if (backup.folder / MAC).exists() else ''}choose a newer one, or restore it with "
            "--allow-unauthenticated where nobody else can write "
            f"{repository.path}",
        )
    return origin


def _require_whole(stack: Stack, backup: Backup, parts: Sequence[Part]) -> None:
    wrong = check_sums(backup)
    known = checkers(stack)
    for part in parts if not wrong else ():
        if LIVE[part.source].offsite:
            continue  # it was opened when it was fetched
        wrong += [f"{part.kind}: {problem}" for problem in check_part(backup, part, known.get(part.source))]
    if wrong:
        raise OpsError(
            f"{backup.id} is not whole: {'; '.join(wrong)}\nnothing was touched",
            "choose another one: `techsapo backup list`",
        )


def _require_able(part: Part, running: str) -> None:
    """Raise OpsError when `part` was made by a newer server than the one that runs."""
    made, present = _version(part.server), _version(running)
    if made > present:
        raise OpsError(
            f"{part.kind} was backed up from {part.server}, and {running} that runs is older\n"
            "nothing was touched",
            "update the server first",
        )


def _version(server: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", server)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _require_same(stack: Stack, part: Part) -> None:
    """Raise OpsError when the stack does not hold what the facts of `part` say."""
    wrong = LIVE[part.source].differences(stack, part)
    if wrong:
        raise OpsError(
            f"{part.kind} came back wrong: {'; '.join(wrong)}",
            "`techsapo backup verify --deep` may tell more",
        )

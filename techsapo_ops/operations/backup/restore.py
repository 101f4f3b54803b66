"""Brings a backup back into the running stack, and goes back by itself when that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup import registry
from techsapo_ops.backup.origin import State
from techsapo_ops.backup.repository import Backup, Repository, repository_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.apply.stopping import require_runs
from techsapo_ops.operations.backup.create import put_aside
from techsapo_ops.operations.backup.intent import Intent
from techsapo_ops.operations.backup.offsite import secret_copy
from techsapo_ops.operations.backup.restore_journal import finished, interrupted, journal
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.backup_kind import BackupKind, Replay
from techsapo_ops.stack.engine import Action, Step
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.stopped import stopped_of

Say = Callable[[str], None]
Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `safety` is the backup of what was there before, empty where nothing was."""

    backup: str
    safety: str
    seconds: dict[str, float]
    total_seconds: float


def perform(
    stack: Stack,
    intent: Intent,
    *,
    wait: float = 0.0,
    aside: bool = True,
    say: Say = lambda _: None,
    told: Told = lambda _kind, _bytes: None,
) -> Restored:
    """Stop the app, back up what is there, bring the backup back, start the app, see that all is well.

    When something fails, or at Ctrl-C, the state from before is brought back. Raises OpsError saying so.
    Without `aside` nothing is backed up first: of a stack that was just made nobody wants anything back.
    """
    began = monotonic()
    layout = stack.layout
    present = [part.source for part in intent.parts if part.kind not in intent.absent]
    seconds: dict[str, float] = {}
    what = {
        "backup": intent.backup.id,
        "origin": str(intent.origin.state),
        "parts": [part.kind for part in intent.parts],
        "to": intent.until.isoformat() if intent.until is not None else None,
    }
    for part in intent.parts:
        if name := registry.of(part).service(part.kind):
            require_runs(stack, name, msg("a restore"))
    with locked(layout, wait), recorded(layout, "restore", what, say) as known:
        replay = _prepared(stack, intent)
        safety: Backup | None = None
        replaced = tuple(part.kind for part in intent.parts)
        try:
            for name in intent.apps:
                say(msg("stopping {name}", name=name))
                stack.engine.halt(name)
            if present and aside:
                say(msg("backing up what is there"))
                safety = put_aside(stack, present, wait)
            journal(layout, safety.id if safety is not None else "", replaced, intent.apps)
            for part in intent.parts:
                say(msg("restoring {kind}", kind=part.kind))
                start = monotonic()
                _bring_back(stack, intent.backup, part, told, intent.copies)
                if replay is not None:
                    say(
                        msg(
                            "replaying {log} to {until:%Y-%m-%d %H:%M:%S} UTC",
                            log=intent.log,
                            until=intent.until,
                        )
                    )
                    replay(None)
                else:
                    _require_same(stack, part)
                seconds[part.kind] = round(monotonic() - start, 3)
            _follow(stack, replaced)
            _start(stack, intent.apps, say)
        except BaseException as error:
            if interrupted(layout) is None:  # nothing was replaced yet
                _start(stack, intent.apps, say)
                raise
            say(msg("that failed; going back"))
            _go_back(stack, safety, replaced, intent.apps, say, told)
            if isinstance(error, OpsError):
                raise OpsError(
                    msg(
                        "{message}\nwent back: everything is as it was before the restore",
                        message=error.message,
                    ),
                    error.hint,
                ) from None
            raise
        finished(layout)
        for part_kind, kind in _kept_beside(replaced):
            kind.forget(stack, part_kind)
        known["safety"] = safety.id if safety is not None else None
    return Restored(
        intent.backup.id, safety.id if safety is not None else "", seconds, round(monotonic() - began, 3)
    )


def go_back_if_interrupted(stack: Stack, *, wait: float = 0.0, say: Say = lambda _: None) -> str | None:
    """Go back from a restore that was killed; returns the id of the backup that was brought back, if any."""
    layout = stack.layout
    left = interrupted(layout)
    if left is None:
        return None
    with locked(layout, wait):
        _require_known(left.kinds)
        say(msg("a restore was interrupted; going back to what was there before"))
        repository = repository_of(stack)
        safety = _put_aside(repository, left.safety) if left.safety else None
        if safety is not None and (found := repository.origin(safety)).state is State.TAMPERED:
            accept = msg("`techsapo backup accept {id}` where you know that it is yours, or ", id=safety.id)
            raise OpsError(
                msg(
                    "going back is not possible: {id} was tampered with, or is damaged: {why}",
                    id=safety.id,
                    why=found.why,
                ),
                msg(
                    '{accept}docs/backup.md, "Whose backup it is"', accept=accept if found.acceptable else ""
                ),
            )
        what = {"safety": left.safety, "parts": list(left.kinds)}
        with recorded(layout, msg("restore undone"), what, say):
            _go_back(stack, safety, left.kinds, left.apps, say, lambda _kind, _bytes: None)
    return left.safety


def _go_back(
    stack: Stack, safety: Backup | None, kinds: Sequence[str], apps: Sequence[str], say: Say, told: Told
) -> None:
    try:
        for name in apps:
            stack.engine.halt(name)
        for part_kind, kind in _kept_beside(kinds):
            kind.put_back(stack, part_kind)
        if safety is not None:
            for part in [p for p in safety.read().parts if p.kind in kinds]:
                if not registry.of(part).keeps_replaced:
                    _bring_back(stack, safety, part, told)
                _require_same(stack, part)
        _follow(stack, kinds)
        _start(stack, apps, say)
    except OpsError as error:
        kept = msg("what was there is whole in the backup {id}; ", id=safety.id) if safety is not None else ""
        raise OpsError(
            msg("going back failed: {message}", message=error.message),
            msg("{kept}`techsapo restore` tries again", kept=kept),
        ) from None
    finished(stack.layout)


def _put_aside(repository: Repository, name: str) -> Backup:
    """The backup that the restore made first. Raises OpsError where it is gone, which nobody mistyped."""
    try:
        return repository.find(name)
    except OpsError as error:
        error.exit_code = 1
        raise


def _require_known(part_kinds: Sequence[str]) -> None:
    """Raise OpsError for a kind that this techsapo does not know, before anything of it is given up."""
    unknown = [each for each in part_kinds if registry.find(each.partition(":")[0]) is None]
    if unknown:
        raise OpsError(
            msg(
                "a restore was interrupted, and this techsapo does not know how to go back from {unknown}",
                unknown=unknown[0],
            ),
            msg("use the version that began it: `techsapo restore` of that one goes back"),
        )


def _kept_beside(part_kinds: Sequence[str]) -> list[tuple[str, BackupKind]]:
    """Those of the kinds of parts of which what was replaced lies beside."""
    known = [(each, registry.find(each.partition(":")[0])) for each in part_kinds]
    return [(each, kind) for each, kind in known if kind is not None and kind.keeps_replaced]


def _prepared(stack: Stack, intent: Intent) -> Replay | None:
    if intent.until is None:
        return None
    (part,) = intent.parts
    history = registry.of(part).history
    assert history is not None  # noqa: S101 - intend has seen to that
    return history.prepare(stack, part, intent.until)


def _bring_back(stack: Stack, backup: Backup, part: Part, told: Told, copies: Path | None = None) -> None:
    kind = registry.of(part)
    with _content(stack, backup, part, copies) as reader:
        kind.bring_back(stack, part, reader, partial(told, part.kind))


@contextmanager
def _content(stack: Stack, backup: Backup, part: Part, copies: Path | None) -> Iterator[PackedReader]:
    """What a part holds, also one that is off-site alone. Raises OpsError."""
    kind = registry.of(part)
    if not kind.too_secret:
        yield backup.reader(part)
        return
    with secret_copy(stack, backup, kind, copies) as (found, reader):
        if found.sha256 != part.sha256:
            raise OpsError(
                msg("another copy of {title} came than a moment ago", title=kind.title), msg("try again")
            )
        yield reader


def _follow(stack: Stack, part_kinds: Sequence[str]) -> None:
    """What an apply would do next where the data is that of an older version."""
    for each in part_kinds:
        kind = registry.find(each.partition(":")[0])
        if kind is not None and (service := kind.service(each)):
            stack.following.ready(stack.engine, stack.topology, service)


def _start(stack: Stack, apps: Sequence[str], say: Say) -> None:
    stopped = stopped_of(stack.layout)
    for name in apps:
        if name in stopped:
            say(msg("{name} stays as it was: {stopped}", name=name, stopped=stopped[name]))
            continue
        say(msg("starting {name}", name=name))
        Step(Action.RESTART, name, msg("it was restored")).perform(stack.engine)


def _require_same(stack: Stack, part: Part) -> None:
    """Raise OpsError when the stack does not hold what the facts of `part` say."""
    wrong = registry.of(part).differences(stack, part)
    if wrong:
        raise OpsError(
            msg("{kind} came back wrong: {wrong}", kind=part.kind, wrong=joined("; ", wrong)),
            msg("`techsapo backup verify --deep` may tell more"),
        )

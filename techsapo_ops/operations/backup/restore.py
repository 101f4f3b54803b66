"""Brings a backup back into the running stack, and goes back by itself when that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.backup_kind import BackupKind, Replay
from techsapo_ops.stack.engine import Action, Step
from techsapo_ops.stack.restore_journal import Interrupted, finished, interrupted, journal
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.stopped import stopped_of

Say = Callable[[str], None]
Told = Callable[[str, int], None]

_INSTEAD = msg(
    "`techsapo restore ID --instead` brings another backup back in its place (`techsapo backup list`)"
)


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
    stack.engine.announce()  # which wants every machine: what can't be stopped would go on with the old data
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
                for machine, why in stack.engine.keep_aside(safety.folder).items():
                    say(msg("{machine} keeps no copy of it: {why}", machine=machine, why=why))
            left = Interrupted(safety.id if safety is not None else "", replaced, intent.apps)
            _note_begun(stack, left)
            _replace(stack, intent, replay, seconds, say, told)
            _note_whole(stack, left)
            _start(stack, intent.apps, say)
        except BaseException as error:
            if (begun := interrupted(layout)) is None:
                _start_unchanged(stack, intent.apps, say, error)
                raise
            say(msg("that failed; going back"))
            if begun.whole:
                journal(layout, begun.now_half())
            try:
                _go_back(stack, safety, begun, say, told)
            except OpsError as failed:
                if isinstance(error, OpsError):
                    raise OpsError(joined("\n", (error.message, failed.message)), failed.hint) from None
                raise
            if isinstance(error, OpsError):
                raise OpsError(
                    msg(
                        "{message}\nwent back: everything is as it was before the restore",
                        message=error.message,
                    ),
                    error.hint,
                ) from None
            raise
        _end(stack, replaced)
        known["safety"] = safety.id if safety is not None else None
    return Restored(
        intent.backup.id, safety.id if safety is not None else "", seconds, round(monotonic() - began, 3)
    )


def perform_instead(
    stack: Stack,
    intent: Intent,
    left: Interrupted,
    *,
    wait: float = 0.0,
    say: Say = lambda _: None,
    told: Told = lambda _kind, _bytes: None,
) -> Restored:
    """Bring a backup back over what an interrupted restore left, where going back from that is not possible.

    Nothing is backed up first: what is there is neither old nor new. Where it fails, the note of the
    interrupted restore stays, and the apps stay off. Raises OpsError, also for a backup that lacks what was
    being replaced.
    """
    began = monotonic()
    seconds: dict[str, float] = {}
    there = tuple(part.kind for part in intent.parts)
    if lacking := [kind for kind in left.kinds if kind not in there]:
        raise OpsError(
            msg("{kinds} would stay half restored", kinds=", ".join(lacking)),
            msg("bring a backup back that holds it, without --only: `techsapo backup list`"),
        )
    apps = tuple(dict.fromkeys((*left.apps, *intent.apps)))
    what = {"backup": intent.backup.id, "origin": str(intent.origin.state), "parts": list(there)}
    stack.engine.announce()
    with (
        locked(stack.layout, wait),
        recorded(stack.layout, "restore", {**what, "instead_of": left.safety}, say),
    ):
        replay = _prepared(stack, intent)
        for name in apps:
            say(msg("stopping {name}", name=name))
            stack.engine.halt(name)
        for part_kind, kind in _kept_beside(left.kinds):
            kind.put_back(stack, part_kind)
        _replace(stack, intent, replay, seconds, say, told)
        _note_whole(stack, Interrupted("", there, apps))
        _start(stack, apps, say)
        _end(stack, there)
    return Restored(intent.backup.id, "", seconds, round(monotonic() - began, 3))


def go_back_if_interrupted(stack: Stack, *, wait: float = 0.0, say: Say = lambda _: None) -> str | None:
    """Go back from a restore that was killed; returns the id of the backup that was brought back, if any.

    That backup is fetched where the restore ran on another machine. One whose data is whole is only ended:
    an app may have written to it since.
    """
    layout = stack.layout
    if interrupted(layout) is None:
        return None
    with locked(layout, wait):
        left = interrupted(layout)
        if left is None:
            return None
        _require_known(left.kinds)
        if left.whole:
            say(msg("a restore was interrupted when its data was whole; it stays"))
            _end(stack, left.kinds)
            _start_left_off(stack, left.apps, say)
            return None
        say(msg("a restore was interrupted; going back to what was there before"))
        repository = repository_of(stack)
        safety = _put_aside(stack, repository, left.safety) if left.safety else None
        if safety is not None and (found := repository.origin(safety)).state is State.TAMPERED:
            accept = msg("`techsapo backup accept {id}` where you know that it is yours, or ", id=safety.id)
            raise OpsError(
                msg(
                    "going back is not possible: {id} was tampered with, or is damaged: {why}",
                    id=safety.id,
                    why=found.why,
                ),
                msg(
                    '{accept}docs/backup.md, "Whose backup it is"; {instead}',
                    accept=accept if found.acceptable else "",
                    instead=_INSTEAD,
                ),
            )
        what = {"safety": left.safety, "parts": list(left.kinds)}
        with recorded(layout, msg("restore undone"), what, say):
            _go_back(stack, safety, left, say, lambda _kind, _bytes: None)
    return left.safety


def _go_back(stack: Stack, safety: Backup | None, left: Interrupted, say: Say, told: Told) -> None:
    try:
        for name in left.apps:
            stack.engine.halt(name)
        for part_kind, kind in _kept_beside(left.kinds):
            kind.put_back(stack, part_kind)
        if safety is not None:
            for part in [p for p in safety.read().parts if p.kind in left.kinds]:
                if not registry.of(part).keeps_replaced:
                    _bring_back(stack, safety, part, told)
                _require_same(stack, part)
        _follow(stack, left.kinds)
    except OpsError as error:
        kept = msg("what was there is in the backup {id}; ", id=safety.id) if safety is not None else ""
        raise OpsError(
            msg("going back failed: {message}", message=error.message),
            msg("{kept}`techsapo restore` tries again, and {instead}", kept=kept, instead=_INSTEAD),
        ) from None
    _note_whole(stack, left)
    try:
        _start(stack, left.apps, say)
    except OpsError as error:
        raise OpsError(
            msg("the data is as it was, but {message}", message=error.message),
            msg("`techsapo up` tries again"),
        ) from None
    _end(stack, left.kinds)


def _note_begun(stack: Stack, left: Interrupted) -> None:
    """From here on somebody has to go back, on any machine. Raises OpsError; then nobody has to."""
    journal(stack.layout, left)
    try:
        stack.engine.share()
    except BaseException:
        finished(stack.layout)
        raise


def _note_whole(stack: Stack, left: Interrupted) -> None:
    """From here on nobody goes back. Where a full disk takes no note, the app starts all the same."""
    with suppress(OpsError):
        journal(stack.layout, left.now_whole())
        stack.engine.share()


def _end(stack: Stack, part_kinds: Sequence[str]) -> None:
    """The note goes first: what lies beside is of no use to anybody once the data is whole."""
    finished(stack.layout)
    for part_kind, kind in _kept_beside(part_kinds):
        kind.forget(stack, part_kind)
    stack.engine.forget_aside()


def _put_aside(stack: Stack, repository: Repository, name: str) -> Backup:
    """The backup that the restore made first. Raises OpsError where it is gone, which nobody mistyped."""
    try:
        return repository.find(name)
    except OpsError:
        if stack.engine.fetch_aside(name, repository.path):
            return repository.find(name)
        raise OpsError(
            msg("going back is not possible: there is no backup {id} with what was there before", id=name),
            _INSTEAD,
        ) from None


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


def _replace(
    stack: Stack, intent: Intent, replay: Replay | None, seconds: dict[str, float], say: Say, told: Told
) -> None:
    """Bring every part back and compare it. Raises OpsError."""
    for part in intent.parts:
        say(msg("restoring {kind}", kind=part.kind))
        start = monotonic()
        _bring_back(stack, intent.backup, part, told, intent.copies)
        if replay is not None:
            say(msg("replaying {log} to {until:%Y-%m-%d %H:%M:%S} UTC", log=intent.log, until=intent.until))
            replay(None)
        else:
            _require_same(stack, part)
        seconds[part.kind] = round(monotonic() - start, 3)
    _follow(stack, tuple(part.kind for part in intent.parts))


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


def _start_left_off(stack: Stack, apps: Sequence[str], say: Say) -> None:
    """Start those of `apps` that the restore did not come to, unless all of the stack is off.

    Of one that does not start the reason is told, and no more: `up` may have what it lacks.
    """
    seen = stack.engine.observe()
    if not seen.running:
        return
    try:
        _start(stack, [n for n in apps if (s := seen.services.get(n)) is None or not s.state.runs], say)
    except OpsError as error:
        say(error.message)


def _start_unchanged(stack: Stack, apps: Sequence[str], say: Say, error: BaseException) -> None:
    """Start what was stopped for nothing; where that fails too, say both: the first may be why."""
    try:
        _start(stack, apps, say)
    except OpsError as failed:
        if not isinstance(error, OpsError):
            raise
        raise OpsError(
            msg(
                "{message}\nnothing was replaced, but what was stopped does not start: {failed}",
                message=error.message,
                failed=failed.message,
            ),
            msg("`techsapo up` starts it, and makes folders that are gone"),
        ) from None


def _require_same(stack: Stack, part: Part) -> None:
    """Raise OpsError when the stack does not hold what the facts of `part` say."""
    wrong = registry.of(part).differences(stack, part)
    if wrong:
        raise OpsError(
            msg("{kind} came back wrong: {wrong}", kind=part.kind, wrong=joined("; ", wrong)),
            msg("`techsapo backup verify --deep` may tell more"),
        )

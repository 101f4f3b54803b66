"""Brings a backup back into the running stack, and goes back by itself when that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

from techsapo_ops.apply.administration import recorded
from techsapo_ops.apply.stop import require_runs
from techsapo_ops.backup.create import put_aside
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.backup.restore.going_back import (
    PartProgress,
    Say,
    bring_back,
    conclude,
    follow,
    go_back,
    keeping_replaced,
    note_begun,
    note_half,
    note_whole,
    require_same,
    start_apps,
    start_unchanged,
)
from techsapo_ops.backup.restore.intent import Intent
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.backup import Replay, Untouched
from techsapo_ops.stack.journal import START, Replaced, interrupted
from techsapo_ops.stack.stack import Stack

_LOOKS = 5
"""How often it is looked whether all is there, a second apart."""


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
    progress: PartProgress = lambda _kind, _bytes: None,
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
        "parts": [part.kind for part in intent.parts],
        "to": intent.until.isoformat() if intent.until is not None else None,
    }
    for part in intent.parts:
        if name := registry.of(part).service(part.kind):
            require_runs(layout, name, msg("a restore"))
    stack.engine.announce()  # which wants every machine: what can't be stopped would go on with the old data
    with at_work(layout, wait), recorded(layout, "restore", what, say) as known:
        _require_there(stack, intent)
        replay = _prepared(stack, intent)
        safety: Backup | None = None
        replaced = tuple(part.kind for part in intent.parts)
        try:
            for name in intent.apps:
                say(msg("stopping {name}", name=name))
                stack.engine.halt(name)
            spent = _spent(stack, intent)
            if present and aside:
                say(msg("backing up the current data"))
                safety = put_aside(stack, present, wait)
                for machine, why in stack.engine.keep_aside(safety.folder).items():
                    say(
                        msg(
                            "host {machine} has no copy of the backup of the current data: {why}",
                            machine=machine,
                            why=why,
                        )
                    )
            note_begun(stack, Replaced(safety.id if safety is not None else "", replaced, intent.apps, spent))
            _replace(stack, intent, replay, seconds, say, progress)
            _keep_spent(stack, intent, spent)
            note_whole(stack)
            start_apps(stack, intent.apps, say)
        except BaseException as error:
            entry = interrupted(layout)
            left = entry.facts if entry is not None else None
            if left is not None and isinstance(error, Untouched):
                left = _touched(stack, left, tuple(seconds))
            if entry is None or left is None:
                start_unchanged(stack, intent.apps, say, error)
                raise
            say(msg("the restore failed; undoing it"))
            if entry.step == START:
                note_half(layout)
            try:
                go_back(stack, safety, left, say, progress)
            except OpsError as failed:
                if isinstance(error, OpsError):
                    raise OpsError(joined("\n", (error.message, failed.message)), failed.hint) from None
                raise
            if isinstance(error, OpsError):
                raise OpsError(
                    msg(
                        "{message}\nthe restore was undone: everything is as it was before",
                        message=error.message,
                    ),
                    error.hint,
                ) from None
            raise
        conclude(stack, replaced)
        known["safety"] = safety.id if safety is not None else None
    return Restored(
        intent.backup.id, safety.id if safety is not None else "", seconds, round(monotonic() - began, 3)
    )


def perform_instead(
    stack: Stack,
    intent: Intent,
    left: Replaced,
    *,
    wait: float = 0.0,
    say: Say = lambda _: None,
    progress: PartProgress = lambda _kind, _bytes: None,
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
            msg("{kinds} would be left half restored", kinds=", ".join(lacking)),
            msg("restore a backup that includes all of this, without --only: `techsapo backup list`"),
        )
    apps = tuple(dict.fromkeys((*left.apps, *intent.apps)))
    what = {"backup": intent.backup.id, "parts": list(there)}
    stack.engine.announce()
    with (
        at_work(stack.layout, wait),
        recorded(stack.layout, "restore", {**what, "instead_of": left.safety}, say),
    ):
        replay = _prepared(stack, intent)
        for name in apps:
            say(msg("stopping {name}", name=name))
            stack.engine.halt(name)
        for part_kind, kind in keeping_replaced(left.kinds):
            kind.put_back(stack, part_kind)
        _replace(stack, intent, replay, seconds, say, progress)
        _keep_spent(stack, intent, left.spent)
        note_whole(stack, kinds=there, apps=apps)
        start_apps(stack, apps, say)
        conclude(stack, there)
    return Restored(intent.backup.id, "", seconds, round(monotonic() - began, 3))


def _require_there(stack: Stack, intent: Intent) -> None:
    """Raise OpsError where one of several databases is cut off from the others, before anything is stopped.

    What is about to take over, or has just been started, is waited for.
    """
    for look in range(_LOOKS):
        if look:
            stack.pause(1.0)
        missing = dict.fromkeys(words for part in intent.parts for words in registry.of(part).missing(stack))
        if not missing:
            return
    raise OpsError(
        msg(
            "a restore needs all hosts that have the data, and some are not available: "
            "{found}\n"
            "nothing was touched",
            found=joined("; ", list(missing)),
        ),
        msg(
            "`techsapo hosts check` and `techsapo health` show more; `techsapo hosts "
            "replace` replaces a lost host"
        ),
    )


def _touched(stack: Stack, begun: Replaced, kinds: tuple[str, ...]) -> Replaced | None:
    """What is to be gone back from, where of all that was to be replaced only `kinds` were."""
    if kinds:
        return replace(begun, kinds=kinds)
    conclude(stack, begun.kinds)
    return None


def _spent(stack: Stack, intent: Intent) -> dict[str, Mapping[str, int]]:
    """What was spent by all that is going to be replaced. Raises OpsError."""
    there = [part for part in intent.parts if part.kind not in intent.absent]
    return {part.kind: spent for part in there if (spent := registry.of(part).spent(stack, part.kind))}


def _keep_spent(stack: Stack, intent: Intent, spent: Mapping[str, Mapping[str, int]]) -> None:
    """See that what came back says that no less was spent. Raises OpsError."""
    for part in intent.parts:
        if before := spent.get(part.kind):
            registry.of(part).keep_spent(stack, part.kind, before)


def _prepared(stack: Stack, intent: Intent) -> Replay | None:
    if intent.until is None:
        return None
    (part,) = intent.parts
    history = registry.of(part).history
    assert history is not None  # noqa: S101 - intend has seen to that
    return history.prepare(stack, part, intent.until)


def _replace(
    stack: Stack,
    intent: Intent,
    replay: Replay | None,
    seconds: dict[str, float],
    say: Say,
    progress: PartProgress,
) -> None:
    """Bring every part back and compare it. Raises OpsError."""
    for part in intent.parts:
        say(msg("restoring {kind}", kind=part.kind))
        since = monotonic()
        bring_back(stack, intent.backup, part, progress, intent.copies)
        if replay is not None:
            say(msg("replaying {log} to {until:%Y-%m-%d %H:%M:%S} UTC", log=intent.log, until=intent.until))
            replay(None)
        else:
            require_same(stack, part)
        seconds[part.kind] = round(monotonic() - since, 3)
    follow(stack, tuple(part.kind for part in intent.parts))

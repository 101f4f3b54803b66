"""Goes back from a restore that failed, or that was killed and left a note of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from techsapo_ops.backup import registry
from techsapo_ops.backup.repository import Backup, Repository, repository_of
from techsapo_ops.backup.verify import faults
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.apply.data import note_restored
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.backup.bringing_back import (
    Say,
    Told,
    bring_back,
    follow,
    require_same,
    start_apps,
    start_left_off,
)
from techsapo_ops.stack.backup_kind import BackupKind
from techsapo_ops.stack.restore_journal import Interrupted, finished, interrupted, journal
from techsapo_ops.stack.stack import Stack

_INSTEAD = msg(
    "`techsapo restore ID --instead` brings another backup back in its place (`techsapo backup list`)"
)


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
            conclude(stack, left.kinds)
            start_left_off(stack, left.apps, say)
            return None
        say(msg("a restore was interrupted; going back to what was there before"))
        repository = repository_of(stack)
        safety = _safety_of(stack, repository, left.safety) if left.safety else None
        if safety is not None and not (origin := repository.origin(safety)).ours:
            raise OpsError(
                msg(
                    "going back is not possible: {id}: {wrong}", id=safety.id, wrong=faults(safety, origin)[0]
                ),
                msg('docs/backup.md, "Whose backup it is"; {instead}', instead=_INSTEAD),
            )
        what = {"safety": left.safety, "parts": list(left.kinds)}
        with recorded(layout, msg("restore undone"), what, say):
            go_back(stack, safety, left, say, lambda _kind, _bytes: None)
    return left.safety


def go_back(stack: Stack, safety: Backup | None, left: Interrupted, say: Say, told: Told) -> None:
    """Bring back what was there before, `safety` and what lies beside; start the apps. Raises OpsError."""
    try:
        for name in left.apps:
            stack.engine.halt(name)
        for part_kind, kind in kept_beside(left.kinds):
            kind.put_back(stack, part_kind)
        if safety is not None:
            for part in [p for p in safety.read().parts if p.kind in left.kinds]:
                if not registry.of(part).keeps_replaced:
                    bring_back(stack, safety, part, told)
                require_same(stack, part)
        follow(stack, left.kinds)
    except OpsError as error:
        kept = msg("what was there is in the backup {id}; ", id=safety.id) if safety is not None else ""
        raise OpsError(
            msg("going back failed: {message}", message=error.message),
            msg("{kept}`techsapo restore` tries again, and {instead}", kept=kept, instead=_INSTEAD),
        ) from None
    note_whole(stack, left)
    try:
        start_apps(stack, left.apps, say)
    except OpsError as error:
        raise OpsError(
            msg("the data is as it was, but {message}", message=error.message),
            msg("`techsapo up` tries again"),
        ) from None
    conclude(stack, left.kinds)


def note_begun(stack: Stack, left: Interrupted) -> None:
    """From here on somebody has to go back, on any machine. Raises OpsError; then nobody has to."""
    journal(stack.layout, left)
    try:
        stack.engine.share()
    except BaseException:
        finished(stack.layout)
        raise


def note_whole(stack: Stack, left: Interrupted) -> None:
    """From here on nobody goes back. Where a full disk takes no note, the app starts all the same."""
    with suppress(OpsError):
        journal(stack.layout, left.now_whole())
        stack.engine.share()


def conclude(stack: Stack, part_kinds: Sequence[str]) -> None:
    """End a restore, or the way back from it, whose data is whole.

    The note goes first: what lies beside is of no use to anybody then.
    """
    finished(stack.layout)
    with suppress(OpsError):  # it is back; `up` tells of a note that can't be written
        note_restored(stack, part_kinds)
    for part_kind, kind in kept_beside(part_kinds):
        kind.forget(stack, part_kind)
    stack.engine.forget_aside()


def _safety_of(stack: Stack, repository: Repository, name: str) -> Backup:
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


def kept_beside(part_kinds: Sequence[str]) -> list[tuple[str, BackupKind]]:
    """Those of the kinds of parts of which what was replaced lies beside."""
    known = [(each, registry.find(each.partition(":")[0])) for each in part_kinds]
    return [(each, kind) for each, kind in known if kind is not None and kind.keeps_replaced]

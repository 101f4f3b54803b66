"""Brings the parts of a backup back one by one, and goes back from a restore that failed or was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.apply.administration import recorded
from techsapo_ops.apply.data import note_restored
from techsapo_ops.apply.outcome import Listener
from techsapo_ops.apply.up import up
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.offsite import secret_copy
from techsapo_ops.backup.repository.folder import Backup, Repository, repository_of
from techsapo_ops.backup.repository.verify import faults
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.backup import BackupKind, Part
from techsapo_ops.stack.journal import REPLACE, START, Replaced, interrupted, restore_journal
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import State, stopped_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology

Say = Callable[[str], None]
PartProgress = Callable[[str, int], None]


def bring_back(
    stack: Stack, backup: Backup, part: Part, progress: PartProgress, copies: Path | None = None
) -> None:
    """Let the kind of a part bring it back. Raises OpsError."""
    kind = registry.of(part)
    with _content(stack, backup, part, copies) as reader:
        kind.bring_back(stack, part, reader, partial(progress, part.kind))


@contextmanager
def _content(stack: Stack, backup: Backup, part: Part, copies: Path | None) -> Iterator[PackedReader]:
    """What a part holds, also one that is off-site alone. Raises OpsError."""
    kind = registry.of(part)
    if not kind.too_secret:
        yield backup.reader(part)
        return
    with secret_copy(stack, backup, kind, copies) as (copy, reader):
        if copy.sha256 != part.sha256:
            raise OpsError(
                msg("the off-site copy of {title} changed a moment ago", title=kind.title), msg("try again")
            )
        yield reader


def follow(stack: Stack, part_kinds: Sequence[str]) -> None:
    """What an apply would do next with the data that came back."""
    for each in part_kinds:
        kind = registry.find(each.partition(":")[0])
        if kind is not None and (service := kind.service(each)):
            stack.following.ready(stack.engine, stack.topology, service)


def start_apps(stack: Stack, apps: Sequence[str], say: Say) -> None:
    """Start the apps that were stopped for it, but none that somebody has stopped. Raises OpsError."""
    stopped = stopped_of(stack.layout)
    for name in apps:
        if name in stopped:
            say(msg("{name} is not started: {stopped}", name=name, stopped=stopped[name]))
            continue
        say(msg("starting {name}", name=name))
        Step(Action.RESTART, name, msg("it was restored")).perform(stack.engine)


def start_left_off(stack: Stack, apps: Sequence[str], say: Say) -> None:
    """Start those of `apps` that the restore did not come to, unless all of the stack is off.

    For one that does not start only the reason is reported: `up` may have what it lacks.
    """
    seen = stack.engine.observe()
    if not seen.running:
        return
    try:
        start_apps(stack, [n for n in apps if (s := seen.services.get(n)) is None or not s.state.runs], say)
    except OpsError as error:
        say(error.message)


def start_unchanged(stack: Stack, apps: Sequence[str], say: Say, error: BaseException) -> None:
    """Start what was stopped for nothing; where that fails too, say both: the first may be why.

    Of several hosts one may be cut off: those of the others are started all the same.
    """
    failures: list[OpsError] = []
    for each in _each_host(stack, apps):
        try:
            start_apps(stack, each, say)
        except OpsError as failed:
            failures.append(failed)
    if failures:
        if not isinstance(error, OpsError):
            raise failures[0]
        raise OpsError(
            msg(
                "{message}\nnothing was replaced, but a service that was stopped for the restore does not "
                "start again: {failed}",
                message=error.message,
                failed=joined("; ", [failed.message for failed in failures]),
            ),
            msg("`techsapo up` starts the service, and recreates missing folders"),
        ) from None


def _each_host(stack: Stack, apps: Sequence[str]) -> list[Sequence[str]]:
    """Those of `apps` that were stopped, by their hosts; all of them where that can't be seen."""
    try:
        seen = stack.engine.observe().services
    except OpsError:
        seen = {}
    off = [name for name in apps if name not in seen or not seen[name].state.runs]
    of = {service.name: service.machine.name for service in stack.topology.services}
    return [[n for n in off if of.get(n, "") == host] for host in dict.fromkeys(of.get(n, "") for n in off)]


def require_same(stack: Stack, part: Part) -> None:
    """Raise OpsError when the stack does not hold what the facts of `part` say."""
    wrong = registry.of(part).differences(stack, part)
    if wrong:
        raise OpsError(
            msg("{kind} was not restored correctly: {wrong}", kind=part.kind, wrong=joined("; ", wrong)),
            msg("`techsapo backup verify --deep` may show why"),
        )


_INSTEAD = msg("`techsapo restore ID --instead` restores another backup (`techsapo backup list`)")


def undo_interrupted(stack: Stack, listener: Listener, say: Say, *, wait: float = 0.0) -> None:
    """Go back from a restore that did not end, also in a stack that is off; nothing where there is none.

    Of a stack that is off the servers of its data are started first, and the apps last, by going back: they
    would answer from data that is neither old nor new. A server that does not start with what the restore
    left may do so with what is brought back. Raises OpsError.
    """
    entry = interrupted(stack.layout)
    if entry is None:
        return
    if entry.step != START:
        start_servers(stack, entry.facts, listener, wait=wait)
    go_back_if_interrupted(stack, wait=wait, say=say)


def start_servers(stack: Stack, left: Replaced, listener: Listener, *, wait: float = 0.0) -> None:
    """Start what has to run to bring anything back over what a restore left half way. Raises OpsError."""
    running = {name for name, seen in stack.engine.observe().services.items() if seen.state is State.RUNNING}
    servers = _servers(stack.topology, left)
    if not running.issuperset(servers):
        up(stack, listener, only=servers, wait=wait)


def _servers(topology: Topology, left: Replaced) -> list[str]:
    """What has to run to go back. Where nothing but the apps holds data, those are."""
    known = [(kind, registry.find(kind.partition(":")[0])) for kind in left.kinds]
    named = dict.fromkeys(of_part.service(kind) for kind, of_part in known if of_part is not None)
    there = [each.name for name in named for each in topology.meant(name)]
    return [name for name in there if name not in left.apps] or there


def go_back_if_interrupted(stack: Stack, *, wait: float = 0.0, say: Say = lambda _: None) -> str | None:
    """Go back from a restore that was killed; returns the id of the backup that was brought back, if any.

    That backup is fetched where the restore ran on another machine. One whose data is whole is only ended:
    an app may have written to it since.
    """
    layout = stack.layout
    if interrupted(layout) is None:
        return None
    with at_work(layout, wait):
        entry = interrupted(layout)
        if entry is None:
            return None
        left = entry.facts
        _require_known(left.kinds)
        if entry.step == START:
            say(msg("a restore was interrupted after all data had been restored; the restored data stays"))
            conclude(stack, left.kinds)
            start_left_off(stack, left.apps, say)
            return None
        say(msg("a restore was interrupted; undoing it"))
        repository = repository_of(stack)
        safety = _safety_of(stack, repository, left.safety) if left.safety else None
        if safety is not None and not (origin := repository.origin(safety)).ours:
            raise OpsError(
                msg(
                    "the restore can't be undone: backup {id}: {wrong}",
                    id=safety.id,
                    wrong=faults(safety, origin)[0],
                ),
                msg('see docs/backup.md, "Whose backup it is"; {instead}', instead=_INSTEAD),
            )
        what = {"safety": left.safety, "parts": list(left.kinds)}
        with recorded(layout, msg("restore undone"), what, say):
            go_back(stack, safety, left, say, lambda _kind, _bytes: None)
    return left.safety


def go_back(stack: Stack, safety: Backup | None, left: Replaced, say: Say, progress: PartProgress) -> None:
    """The opposite of each step of a restore, the last one's first: halt the apps, bring back what was there
    before, `safety` and what lies beside, start the apps. Raises OpsError; the same again goes on.
    """
    try:
        for name in left.apps:
            stack.engine.halt(name)
        for part_kind, kind in keeping_replaced(left.kinds):
            kind.put_back(stack, part_kind)
        if safety is not None:
            for part in [p for p in safety.read().parts if p.kind in left.kinds]:
                if not registry.of(part).keeps_replaced:
                    bring_back(stack, safety, part, progress)
                require_same(stack, part)
        follow(stack, left.kinds)
    except OpsError as error:
        note = msg("the previous data is in backup {id}; ", id=safety.id) if safety is not None else ""
        raise OpsError(
            msg("undoing the restore failed: {message}", message=error.message),
            msg("{kept}`techsapo restore` tries the undo again, and {instead}", kept=note, instead=_INSTEAD),
        ) from None
    note_whole(stack)
    try:
        start_apps(stack, left.apps, say)
    except OpsError as error:
        raise OpsError(
            msg("the data is as it was before the restore, but {message}", message=error.message),
            msg("`techsapo up` tries to start the services again"),
        ) from None
    conclude(stack, left.kinds)


def note_begun(stack: Stack, left: Replaced) -> None:
    """From here on somebody has to go back, on any machine. Raises OpsError; then nobody has to."""
    journal = restore_journal(stack.layout)
    journal.begin(left, REPLACE)
    try:
        stack.engine.share()
    except BaseException:
        journal.end()
        raise


def note_whole(stack: Stack, **changes: tuple[str, ...]) -> None:
    """From here on nobody goes back; `changes` are facts that are others by now.

    Where a full disk takes no note, the app starts all the same.
    """
    with suppress(OpsError):
        journal = restore_journal(stack.layout)
        if journal.read() is not None:
            journal.reach(START, **changes)
            stack.engine.share()


def note_half(layout: Layout) -> None:
    """From here on somebody has to go back again. Raises OpsError."""
    journal = restore_journal(layout)
    if journal.read() is not None:
        journal.reach(REPLACE)


def conclude(stack: Stack, part_kinds: Sequence[str]) -> None:
    """End a restore, or the way back from it, whose data is whole.

    The journal's entry goes first: what lies beside is of no use to anybody then.
    """
    restore_journal(stack.layout).end()
    with suppress(OpsError):  # it is back; `up` reports a note that can't be written
        note_restored(stack, part_kinds)
    for part_kind, kind in keeping_replaced(part_kinds):
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
            msg(
                "the restore can't be undone: backup {id}, with the data from before the restore, is missing",
                id=name,
            ),
            _INSTEAD,
        ) from None


def _require_known(part_kinds: Sequence[str]) -> None:
    """Raise OpsError for a kind that this techsapo does not know, before anything of it is given up."""
    unknown = [each for each in part_kinds if registry.find(each.partition(":")[0]) is None]
    if unknown:
        raise OpsError(
            msg(
                "a restore was interrupted, and this techsapo does not know how to undo {unknown}",
                unknown=unknown[0],
            ),
            msg("use the version of techsapo that started the restore: its `techsapo restore` undoes it"),
        )


def keeping_replaced(part_kinds: Sequence[str]) -> list[tuple[str, BackupKind]]:
    """Those of the kinds of parts of which what was replaced lies beside."""
    known = [(each, registry.find(each.partition(":")[0])) for each in part_kinds]
    return [(each, kind) for each, kind in known if kind is not None and kind.keeps_replaced]

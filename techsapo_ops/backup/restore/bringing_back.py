"""Brings the parts of a backup back one by one, and the apps that were stopped for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.offsite import secret_copy
from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.observed import stopped_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step

Say = Callable[[str], None]
Told = Callable[[str, int], None]


def bring_back(stack: Stack, backup: Backup, part: Part, told: Told, copies: Path | None = None) -> None:
    """Let the kind of a part bring it back. Raises OpsError."""
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
            say(msg("{name} stays as it was: {stopped}", name=name, stopped=stopped[name]))
            continue
        say(msg("starting {name}", name=name))
        Step(Action.RESTART, name, msg("it was restored")).perform(stack.engine)


def start_left_off(stack: Stack, apps: Sequence[str], say: Say) -> None:
    """Start those of `apps` that the restore did not come to, unless all of the stack is off.

    Of one that does not start the reason is told, and no more: `up` may have what it lacks.
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
                "{message}\nnothing was replaced, but what was stopped does not start: {failed}",
                message=error.message,
                failed=joined("; ", [failed.message for failed in failures]),
            ),
            msg("`techsapo up` starts it, and makes folders that are gone"),
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
            msg("{kind} came back wrong: {wrong}", kind=part.kind, wrong=joined("; ", wrong)),
            msg("`techsapo backup verify --deep` may tell more"),
        )

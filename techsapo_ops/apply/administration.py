"""The record of administration: what is done to a stack, by whom and from where, before it is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from techsapo_ops.adapters.chain import Chain, Head, Reading
from techsapo_ops.adapters.users import actor
from techsapo_ops.engines.at_work import sharing, tell_nobody
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

Outcome = Literal["done", "failed"]
Warn = Callable[[str], None]
_LONGEST = 300
_WAIT = 10.0
"""Seconds for which a record waits for a command of another host."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An action that was recorded and is under way; `head` is None where it could not be recorded."""

    layout: Layout
    action: str
    head: Head | None

    def end(self, outcome: Outcome, what: Mapping[str, Any], warn: Warn) -> None:
        """Record how it ended; `warn` gets a line where that is not possible, for it has already happened."""
        if self.head is None:
            return
        record = {"action": self.action, "outcome": outcome, "of": self.head.sequence, "what": dict(what)}
        try:
            _append(self.layout, record, warn)
        except OpsError as error:
            warn(msg("the outcome of this action can't be recorded: {message}", message=error.message))


@dataclass(frozen=True, slots=True)
class Action:
    """What was done, out of its one or two records. `outcome` is None where none says how it ended."""

    sequence: int
    time: datetime
    action: str
    outcome: Outcome | None
    who: Mapping[str, Any]
    what: Mapping[str, Any]


def chain_of(layout: Layout) -> Chain:
    """The record of the stack of `layout`: its file belongs to whom the state directory does."""
    owner: tuple[int, int] | None = None
    if os.geteuid() == 0 and layout.state.is_dir():
        facts = layout.state.stat()
        owner = (facts.st_uid, facts.st_gid) if facts.st_uid != 0 else None
    return Chain(layout.administration, owner)


def begin(
    layout: Layout, action: str, what: Mapping[str, Any], warn: Warn = tell_nobody, *, anyway: bool = False
) -> Begun:
    """Record that `action` is about to be done; `what` holds no secret.

    Raises OpsError where it can't be recorded. With `anyway`, for what must not depend on that, `warn` is
    called in its place.
    """
    record = {"action": action, "outcome": "begun", "who": actor(), "what": dict(what)}
    try:
        return Begun(layout, action, _append(layout, record, warn))
    except OpsError as error:
        if anyway:
            warn(msg("{action} can't be recorded: {message}", action=action, message=error.message))
            return Begun(layout, action, None)
        raise OpsError(
            msg(
                "{action} was not run, because it can't be recorded: {message}",
                action=action,
                message=error.message,
            ),
            error.hint or msg("check that {path} can be written", path=chain_of(layout).path),
        ) from None


def _append(layout: Layout, record: Mapping[str, Any], warn: Warn) -> Head:
    """Add a record to the chain that all hosts of a stack share.

    Where no quorum answers, or another host holds the lock for long, the record is added on this host only,
    with a warning: an emergency can't wait for that. Raises OpsError where it can't be written.
    """
    head: Head | None = None
    chain = chain_of(layout)
    try:
        with sharing(layout, _WAIT, warn):
            head = chain.append(record)
    except OpsError as error:
        if head is None:
            head = chain.append(record)
        warn(msg("this action is recorded on this host only, not on the others: {why}", why=error.message))
    return head


def why(error: BaseException) -> str:
    """The text that is recorded for an error: its first line, or its type where it is no OpsError."""
    said = error.message if isinstance(error, OpsError) else type(error).__name__
    return said.partition("\n")[0][:_LONGEST]


@contextmanager
def recorded(
    layout: Layout, action: str, what: Mapping[str, Any], warn: Warn, *, anyway: bool = False
) -> Iterator[dict[str, Any]]:
    """Do the block only where it can be recorded, or with `anyway` all the same, and record how it ended.

    What the block puts into the yielded dict is recorded with a good end.
    """
    begun = begin(layout, action, what, warn, anyway=anyway)
    known: dict[str, Any] = {}
    try:
        yield known
    except BaseException as error:
        begun.end("failed", {"why": why(error)}, warn)
        raise
    begun.end("done", known, warn)


def actions(reading: Reading) -> tuple[Action, ...]:
    """What was done, oldest first."""
    done: dict[int, Action] = {}
    for record in reading.records:
        content = record.content
        outcome, of = content.get("outcome"), content.get("of")
        what, who = _object(content.get("what")), _object(content.get("who"))
        number = record.head.sequence
        if outcome in ("done", "failed") and isinstance(of, int) and of in done:
            begun = done[of]
            done[of] = replace(begun, outcome=outcome, what={**begun.what, **what})
        else:
            done[number] = Action(number, record.time, str(content.get("action")), None, who, what)
    return tuple(done.values())


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

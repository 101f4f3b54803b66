"""Being alone on a live stack for the length of a drill, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from techsapo_ops.backup.repository import repository_of
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.stack.maintenance import maintenance_of
from techsapo_ops.stack.restore_journal import interrupted
from techsapo_ops.stack.stack import Stack


def hindrance(stack: Stack) -> str:
    """What is under way that a fault would do harm to; "" for nothing."""
    if (closed := maintenance_of(stack.layout)) is not None:
        return str(closed)
    if Journal(Ledger(stack.layout.state)).path.exists():
        return msg("an apply was cut short: `techsapo up` completes it")
    if stack.layout.recovery_journal.exists():
        return msg("a recovery was cut short: `techsapo recover` completes it")
    if interrupted(stack.layout) is not None:
        return msg("a restore was cut short: `techsapo restore` completes it")
    return ""


@contextmanager
def alone(stack: Stack) -> Iterator[None]:
    """Keep every apply, restart, restore and backup from beginning, and be refused while one runs."""
    with ExitStack() as held:
        held.enter_context(locked(stack.layout, 0.0))
        repository = repository_of(stack)
        if repository.path.is_dir():
            held.enter_context(repository.lock())
        yield

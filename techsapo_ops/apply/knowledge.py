"""The team's own knowledge of a stack, for who asks here and for its app."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.knowledge import Knowledge, current
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import app_user
from techsapo_ops.stack.stack import Stack


def knowledge_of(stack: Stack) -> Knowledge:
    """The knowledge of `stack` as its files are now. Its app finds the same, unless `trouble` says why not.

    Raises OpsError where this Python's SQLite can't search.
    """
    layout = stack.layout
    patterns, folder = stack.spec.knowledge, layout.spec_file.parent
    return current(layout.knowledge, patterns, folder, app_user(stack.topology))


def follow(stack: Stack, tell: Callable[[str], None]) -> bool:
    """Let the app have the knowledge of the files that the spec names now, or none; whether it is another.

    What can't be read or written is told, and fails nothing.
    """
    if not stack.spec.knowledge:
        for file in stack.layout.knowledge.parent.glob("*"):
            file.unlink()
        return False
    try:
        knowledge = knowledge_of(stack)
    except OpsError as error:
        tell(msg("knowledge: {message}; {hint}", message=error.message, hint=error.hint))
        return False
    if knowledge.trouble is not None:
        tell(msg("knowledge: {message}", message=knowledge.trouble.message))
    if unread := knowledge.unread:
        tell(
            msg(
                "knowledge: files left out: {count}, such as {source} ({reason})",
                count=len(unread),
                source=unread[0].source,
                reason=unread[0].reason,
            )
        )
    return knowledge.changed

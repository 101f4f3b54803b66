"""Lets other hosts hear of what was found out about backups here: where they are, keys, metrics."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.backup.metrics import write_metrics
from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.engines.at_work import among_hosts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.stack import Stack

_WAIT = 60.0
"""Seconds for which another command may be at work."""


def shared(stack: Stack, write: Callable[[], None], wait: float = 0.0) -> str:
    """Do `write`, which changes the state directory, so that other hosts have it too; why they don't, if so.

    It is done in any case, and at most twice. On one host there is nobody to hear of it. Raises OpsError
    where it can't be written here.
    """
    try:
        with among_hosts(stack.layout, max(wait, _WAIT)):
            write()
            stack.engine.deliver()
    except OpsError as error:
        write()
        return msg("the other hosts don't know of it: {why}", why=error.message)
    return ""


def noted(stack: Stack, repository: Repository) -> None:
    """Write down which backups there are here, for the other hosts and for Prometheus. Raises OpsError."""
    if repository.places is not None:
        repository.places.note(filter(None, (b.manifest for b in repository.backups())))
    write_metrics(stack, repository)

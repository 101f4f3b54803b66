"""Going back from a restore that a kill or a power cut ended, before anything answers from what it left."""

from __future__ import annotations

from techsapo_ops.backup import registry
from techsapo_ops.operations.apply.outcome import Listener
from techsapo_ops.operations.apply.up import up
from techsapo_ops.operations.backup.bringing_back import Say
from techsapo_ops.operations.backup.going_back import go_back_if_interrupted
from techsapo_ops.stack.journal import START
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.restore_journal import Replaced, interrupted
from techsapo_ops.stack.stack import Stack


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
    servers = _servers(stack, left)
    if not running.issuperset(servers):
        up(stack, listener, only=servers, wait=wait)


def _servers(stack: Stack, left: Replaced) -> list[str]:
    """What has to run to go back. Where nothing but the apps holds data, those are."""
    known = [(kind, registry.find(kind.partition(":")[0])) for kind in left.kinds]
    named = dict.fromkeys(found.service(kind) for kind, found in known if found is not None)
    there = [each.name for name in named for each in stack.topology.meant(name)]
    return [name for name in there if name not in left.apps] or there

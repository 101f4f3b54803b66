"""Another machine takes the place of one that was lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.apply.administration import recorded
from techsapo_ops.apply.outcome import Listener
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.engines.swarm import folders
from techsapo_ops.engines.swarm.engine import swarm_of
from techsapo_ops.engines.swarm.nodes import nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.drain import wait_ready
from techsapo_ops.hosts.join import add, require_able
from techsapo_ops.hosts.leave import forget, forget_backups, require_gone
from techsapo_ops.hosts.look import daemons_of
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.stack import Stack


def replace(
    stack: Stack,
    old: str,
    new: str,
    apply: Callable[[], None],
    *,
    wait: float,
    listener: Listener,
) -> float:
    """Let `new`, a host of the spec, take the place of the lost `old`, both may be the same name; in how many
    seconds.

    The old node leaves Raft, the new machine joins; then `apply` brings the spec up, which gives it images,
    keys and certificates, and its services fill their volumes from the others. Killed at any step, the same
    call goes on. Raises OpsError where the old one still answers.
    """
    engine = swarm_of(stack.engine)
    machines = stack.topology.machines
    _require_named(stack, old, new)
    began = time.monotonic()
    what, say = {"old": old, "new": new}, listener.say
    with (
        at_work(stack.layout, wait, listener.warn),
        recorded(stack.layout, "hosts replace", what, listener.warn),
    ):
        manager = engine.fleet.manager
        machine = next(m for m in machines if m.name == new)
        daemons, silent = daemons_of(engine.fleet, [machine])
        require_able(machine, daemons, silent)  # before the old one is taken out
        daemon = daemons[new]
        before = [n for n in nodes_of(manager) if n.name == old]
        left = [n for n in before if not (old == new and daemon.node == n.id)]
        if old == new and before and not left and before[0].label:
            raise OpsError(
                msg("{name} is there, and is no new machine", name=new),
                msg("`techsapo hosts check {name}`; `techsapo up` starts what does not run", name=new),
                exit_code=2,
            )
        if left:
            require_gone(engine.fleet, machines if old != new else (), old, left)
        forget_backups(stack.layout, old, say)
        for node in left:
            say(msg("{name} leaves the Swarm", name=old))
            forget(manager, node, stack.pause)
        for words in engine.give_up(old):  # also where a call that was killed had taken its node out
            say(words)
        add(engine.fleet, stack.spec.project, machines, (new,), say, stack.pause)
        folders.forget(stack.layout, new)
    apply()
    engine.forget_members()
    wait_ready(engine, new, stack.pause)
    return time.monotonic() - began


def _require_named(stack: Stack, old: str, new: str) -> None:
    names = [machine.name for machine in stack.topology.machines]
    if new not in names:
        raise unknown(msg("host"), new, names, hint=msg("write it under `hosts` in place of {old}", old=old))
    if old != new and old in names:
        raise OpsError(
            msg("the spec still names {old}", old=old),
            msg("write {new} in its place under `hosts`", new=new),
            exit_code=2,
        )

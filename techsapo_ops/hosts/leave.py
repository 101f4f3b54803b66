"""A machine leaves the Swarm of its stack: taken out of the spec before, gone for good, or replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.apply.administration import recorded
from techsapo_ops.apply.outcome import Listener
from techsapo_ops.backup.repository.records import places_of
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.engines.swarm import folders
from techsapo_ops.engines.swarm.engine import SwarmEngine, swarm_of
from techsapo_ops.engines.swarm.machines_note import note_machines, noted_machines
from techsapo_ops.engines.swarm.nodes import Node, nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.drain import wait_ready
from techsapo_ops.hosts.join import add, require_able
from techsapo_ops.hosts.survey import daemons_of
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.stack import Stack

_SECONDS = 60.0
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Leaving:
    """What is to leave: the nodes of a name, whether the spec and the note of the stack's machines have it.

    `staying` is how many managers that answer stay.
    """

    name: str
    nodes: tuple[Node, ...]
    named: bool
    noted: bool
    staying: int

    @property
    def question(self) -> str:
        """What somebody is asked before it is taken out."""
        whose = (
            msg("{host}, which is in the spec,", host=self.name)
            if self.named
            else msg("{host}, which is not in the spec,", host=self.name)
        )
        return msg(
            "Remove {host} from the Swarm? The host can't come back as the same node. {count} other "
            "managers answer.",
            host=whose,
            count=self.staying,
        )


def leaving(engine: SwarmEngine, name: str, *, gone: bool) -> Leaving:
    """What `remove` would take out; changes nothing. Raises as `remove` does."""
    fleet, layout, machines = engine.fleet, engine.layout, engine.topology.machines
    named = any(machine.name == name for machine in machines)
    if named and not gone:
        raise OpsError(
            msg("host {name} is one of the {count} hosts in the spec, and a stack needs three or five hosts",
                name=name, count=len(machines)),
            msg("if the host was lost: `techsapo hosts replace {name}`, or add --gone to replace the host "
                "later. To go from five hosts to three: delete two from `hosts`, run `techsapo up`, then run "
                "this command for each of the two",
                name=name),
            exit_code=2,
        )  # fmt: skip
    nodes = nodes_of(fleet.manager)
    leaving_nodes = tuple(node for node in nodes if node.name == name)
    noted = any(machine.name == name for machine in noted_machines(layout.state).machines)
    # A call that was killed may have removed the node without noting it.
    if not leaving_nodes and not (noted or named):
        raise OpsError(
            msg("{name} is not a node of the Swarm", name=name), msg("there is nothing to do"), exit_code=2
        )
    if named:
        require_gone(fleet, machines, name, leaving_nodes)
    elif any(node.ready and node.label for node in leaving_nodes):
        raise OpsError(
            msg("services of the stack may still be running on {name}", name=name),
            msg(
                "remove this host from the spec and run `techsapo up`, which stops these services; then try "
                "again"
            ),
        )
    staying = sum(
        bool(n.reach) and n.ready and n.reach != "unreachable" for n in nodes if n not in leaving_nodes
    )
    return Leaving(name, leaving_nodes, named, noted, staying)


def remove(
    engine: SwarmEngine,
    name: str,
    *,
    gone: bool,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Node, ...]:
    """Take the node `name` out of the Swarm; the nodes that were removed.

    One that the spec still names is removed only where it is `gone` for good, in somebody's explicit word: a
    stack has three or five, and waits for the third to be replaced. Those that wait for what it had are given
    that word, and those that count the others forget what the spec does not name any more. Killed at any
    step, the same call goes on. Raises OpsError for one that answers and is said to be gone, and where no
    quorum answers.
    """
    what, layout = leaving(engine, name, gone=gone), engine.layout
    if what.named:
        forget_backups(layout, name, say)
    for node in what.nodes:
        forget(engine.fleet.manager, node, pause)
    note = noted_machines(layout.state)
    if what.noted:
        note_machines(layout.state, note.project, [m for m in note.machines if m.name != name])
    if what.named:
        for words in engine.give_up(name):
            say(words)
    else:
        engine.forget_members()
    return what.nodes


def forget_backups(layout: Layout, name: str, say: Callable[[str], None]) -> None:
    """List those no more that lay on a machine that is gone for good, and say so. Raises OpsError."""
    if gone := places_of(layout, layout.state).lost(name):
        say(
            msg(
                "{count} backups on {host} are lost with that host, the latest of them {id}; off-site "
                "copies are not affected",
                count=len(gone),
                host=name,
                id=gone[-1].id,
            )
        )


def require_gone(fleet: Fleet, machines: Sequence[Machine], name: str, nodes: Sequence[Node]) -> None:
    """Raise OpsError where the machine of these nodes still answers, to a manager or to its Docker."""
    machine = next((m for m in machines if m.name == name), None)
    daemons = daemons_of(fleet, [machine])[0] if machine is not None else {}
    another = any(daemon.node != node.id for daemon in daemons.values() for node in nodes)
    there = any(node.ready and node.reach != "unreachable" for node in nodes)
    if not another and (daemons or there):
        raise OpsError(
            msg("host {name} answers, so it is not lost", name=name),
            msg("if the host was lost just now, try again in a minute; to take the host out for a while: "
                "`techsapo hosts drain {name}`; to replace the host: drain it, then run `docker swarm "
                "leave --force` on that host", name=name),
        )  # fmt: skip


def forget(manager: Docker, node: Node, pause: Callable[[float], None] = time.sleep) -> None:
    """Take a node out of Raft and off the list. Raises OpsError in Docker's words."""
    if node.reach:
        manager.call("node", "demote", node.id, timeout=_SECONDS)
    deadline = time.monotonic() + _SECONDS
    while True:
        done = manager.attempt("node", "rm", "--force", node.id, timeout=_SECONDS)
        if done.code == 0 or "not found" in done.output:
            return
        if time.monotonic() > deadline:  # it is demoted a moment after it was said
            raise OpsError(
                msg("can't remove the node {name}: {said}", name=node.name, said=manager.words(done))
            )
        pause(_PAUSE)


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
                msg("host {name} is still in the Swarm, so it is not a new machine", name=new),
                msg("run `techsapo hosts check {name}`; `techsapo up` starts what is not running", name=new),
                exit_code=2,
            )
        if left:
            require_gone(engine.fleet, machines if old != new else (), old, left)
        forget_backups(stack.layout, old, say)
        for node in left:
            say(msg("removing {name} from the Swarm", name=old))
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
        raise unknown(
            msg("host"), new, names, hint=msg("write the new host under `hosts` in place of {old}", old=old)
        )
    if old != new and old in names:
        raise OpsError(
            msg("the spec still names {old}", old=old),
            msg("under `hosts`, write {new} in place of the old name", new=new),
            exit_code=2,
        )

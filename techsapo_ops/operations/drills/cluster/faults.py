"""What a drill takes away from a machine by its Docker, and puts back. Root on the machine is not needed.

None of it is a power cut: kernel, disk and Docker of the machine go on.
"""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.cluster.under_way import PUT_BACK, UnderWay
from techsapo_ops.operations.hosts.drain import node_named
from techsapo_ops.operations.hosts.facts import nodes_of
from techsapo_ops.services.keepalived.configuration import RUN
from techsapo_ops.stack.stack_file import NODE_LABEL

CUT_AFTER = 2
"""Seconds after which a machine is cut off, so that who asked for it still gets its answer."""
_SECONDS = 30.0
_SHELL = ("/bin/sh", "-c")
# keepalived tells nothing any more, as with its machine; one that is killed would leave the address there.
_DROP_ADDRESS = """
kill -STOP "$(cat {run}/vrrp.pid)"
ip -oneline address show | while read -r _ dev _ with _; do
  [ "$with" = "$1" ] && ip address delete "$with" dev "$dev"
done
true
"""
# One that was stopped so, and not killed: it would go on as the master that it was. A new one starts as none.
_FROZEN = (
    'read -r worker <{run}/vrrp.pid && grep -q "^State:[[:space:]]*T" "/proc/$worker/status" && echo frozen'
)
# What this machine sends to the others goes to a neighbour that there is not: a refusal would be told to who
# sends, and in a cut nobody is told anything. It ends by itself, whoever is cut off from whom by then.
_CUT = """
own=$1 seconds=$2 wait=$3
shift 3
case $own in *:*) hole=2001:db8::1 ;; *) hole=192.0.2.1 ;; esac
dev=$(ip -oneline route get "$1" | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
back() {
  for peer in "$@"; do ip route del "$peer" via "$hole" dev "$dev" 2>/dev/null; done
  ip neigh del "$hole" dev "$dev" 2>/dev/null
  read -r up _ </proc/uptime
  echo "back $up"
}
[ "$seconds" -gt 0 ] || { back "$@"; exit 0; }
trap 'back "$@"; exit 0' TERM INT
ip neigh replace "$hole" lladdr 02:00:00:00:00:01 dev "$dev" nud permanent || exit 1
sleep "$wait" &
wait $!
for peer in "$@"; do
  ip route add "$peer" via "$hole" dev "$dev" onlink src "$own" || { back "$@"; exit 1; }
done
read -r up _ </proc/uptime
echo "cut $up"
sleep "$seconds" &
wait $!
back "$@"
"""


def lose_host(engine: SwarmEngine, host: str, strikes: Callable[[], None] = lambda: None) -> None:
    """Kill all containers of the stack on a machine at once, and let Swarm start none there.

    `strikes` is told when all is looked up, and the first thing is taken. Raises OpsError where its Docker
    does not answer, or where no Swarm manager does.
    """
    node = node_named(nodes_of(engine.fleet.manager, NODE_LABEL), host)
    running = [c for c in _on(engine, host) if c.running]
    if not running:
        raise OpsError(msg("nothing of the stack runs on {host}", host=host), msg("`techsapo up`"))
    member, address = engine.fleet.members[host], engine.topology.spec.floating_address
    keepalived = next((c for c in running if c.service == f"keepalived-{host}"), None)
    strikes()
    if keepalived is not None and address is not None:
        script = _DROP_ADDRESS.format(run=RUN)
        member.attempt("exec", keepalived.id, *_SHELL, script, "drill", address, timeout=_SECONDS)
    member.call("kill", *(container.id for container in running), timeout=_SECONDS)
    engine.fleet.manager.call("node", "update", "--availability", "drain", node.id)


def lose_service(engine: SwarmEngine, service: str, strikes: Callable[[], None] = lambda: None) -> None:
    """Kill the container of a service, which Swarm starts again; `strikes` as for `lose_host`.

    Raises OpsError where there is none.
    """
    container = engine.containers().get(service)
    if container is None or not container.running:
        raise OpsError(msg("{service} does not run", service=service), f"`techsapo start {service}`")
    strikes()
    engine.fleet.members[engine.fleet.machine_of(container.id)].call("kill", container.id, timeout=_SECONDS)


def cut_off(engine: SwarmEngine, host: str, seconds: int) -> None:
    """Let nothing that a machine sends reach the others, from CUT_AFTER on, for so many seconds.

    What ends it runs there, and needs nobody. Raises OpsError where it can't be begun.
    """
    member = engine.fleet.members[host]
    member.attempt("rm", "--force", _name(engine), timeout=_SECONDS)
    member.call("run", "--detach", "--name", _name(engine), *_words(engine, host, seconds), timeout=_SECONDS)


def cut_at(engine: SwarmEngine, host: str) -> float | None:
    """When it was cut off, by the clock /proc/uptime of that machine; None where it never was."""
    done = engine.fleet.members[host].attempt("logs", _name(engine), timeout=_SECONDS)
    lines = [line.split() for line in done.stdout.decode(errors="replace").splitlines()]
    return next((float(line[1]) for line in lines if line[:1] == ["cut"] and len(line) == 2), None)


def put_back(engine: SwarmEngine, what: UnderWay) -> None:
    """Undo what a drill has begun, and wait for nothing; also where it is undone already.

    Raises OpsError where the machine, or for a lost one a Swarm manager, does not answer yet.
    """
    engine.forget()
    if what.drill == "failover-host":
        manager = engine.fleet.manager
        node = node_named(nodes_of(manager, NODE_LABEL), what.host)
        if node.availability != "active":
            manager.call("node", "update", "--availability", "active", node.id)
        _end_frozen(engine, what.host)
    if what.drill == "partition":
        member = engine.fleet.members[what.host]
        if member.answers() is None:
            raise OpsError(
                msg("{host} does not answer yet", host=what.host),
                msg(
                    "what a drill of a partition cuts comes back by itself; then `{command}`",
                    command=PUT_BACK,
                ),
            )
        # Its own way back is by a signal; the second one is for what was killed before that.
        member.attempt("stop", "-t", "10", _name(engine), timeout=_SECONDS)
        member.call("run", "--rm", *_words(engine, what.host, 0), timeout=_SECONDS)
        member.attempt("rm", "--force", _name(engine), timeout=_SECONDS)


def _end_frozen(engine: SwarmEngine, host: str) -> None:
    """End the keepalived that a drill stopped before it was killed itself; Swarm starts another one."""
    member = engine.fleet.members[host]
    for container in _on(engine, host):
        if container.service == f"keepalived-{host}" and container.running:
            script = _FROZEN.format(run=RUN)
            done = member.attempt("exec", container.id, *_SHELL, script, timeout=_SECONDS)
            if done.stdout.strip() == b"frozen":
                member.call("kill", container.id, timeout=_SECONDS)


def cutter(engine: SwarmEngine, host: str) -> str:
    """The image that can cut off a machine: keepalived's, of what runs there.

    Raises OpsError where there is none.
    """
    found = next((c for c in _on(engine, host) if c.service == f"keepalived-{host}" and c.running), None)
    if found is None:
        raise OpsError(
            msg("nothing on {host} could cut it off: keepalived does not run there", host=host),
            msg("a partition of a live cluster needs `floating_address`, whose image has `ip`; without it "
                "pull the cable of a host"),
            exit_code=2,
        )  # fmt: skip
    return found.image


def _words(engine: SwarmEngine, host: str, seconds: int) -> tuple[str, ...]:
    machines = engine.topology.machines
    own = next(machine.address for machine in machines if machine.name == host)
    others = [machine.address for machine in machines if machine.name != host]
    return (
        "--network", "host", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--read-only", "--init",
        "--pids-limit", "32", "--label", f"techsapo.drill={engine.project}", "--entrypoint", _SHELL[0],
        cutter(engine, host), *_SHELL[1:], _CUT, "drill", own, str(seconds), str(CUT_AFTER), *others,
    )  # fmt: skip


def _name(engine: SwarmEngine) -> str:
    return f"{engine.project}-drill-partition"


def _on(engine: SwarmEngine, host: str) -> tuple[ContainerFacts, ...]:
    member: Docker = engine.fleet.members[host]
    return member.stack_containers(engine.project, timeout=_SECONDS)

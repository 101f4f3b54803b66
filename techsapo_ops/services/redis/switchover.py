"""Another Redis becomes the master, on purpose, and loses no write.

Sentinel alone would lose some: it promotes a replica while the master still takes writes. So writes wait
first, until the replica has all that was written; only then is it promoted, and the last master made its
replica.
https://redis.io/docs/latest/commands/client-pause/
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.door import door_to
from techsapo_ops.services.redis.several import DoorTo, Several, lines_of, several
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

PAUSE_MS = 4000
"""Writes wait so long at most, also where whoever asked for the switch is gone: clients try for longer."""
_SECONDS = 60.0
_FIRST = "1"
"""A priority before that of all others, which is 100."""
# Run where the new master is, in one go: on the way there by ssh a single question would take too long. It is
# told the last master, the new one, a Sentinel, the name that Sentinels know, and how redis-cli gets in.
_SCRIPT = """
old=$1 new=$2 port=$3 sentinel=$4 sport=$5 name=$6 cli=$7 pause=$8
at() { host=$1 where=$2; shift 2; timeout 2 $cli -h "$host" -p "$where" "$@" 2>&1 | tr -d '\\r'; }
field() { sed -n "s/^$1://p"; }
hold() { [ "$(at "$old" "$port" CLIENT PAUSE "$pause" WRITE)" = OK ]; }
hold || { echo "paused not"; exit 1; }
trap 'at "$old" "$port" CLIENT UNPAUSE >/dev/null' EXIT
has=$(at "$old" "$port" INFO replication | field master_repl_offset)
n=0
while :; do
  there=$(at "$new" "$port" INFO replication | field slave_repl_offset)
  [ "${there:-0}" -ge "${has:-0}" ] && break
  n=$((n + 1)); [ $n -lt 20 ] || { echo "behind $((has - ${there:-0}))"; exit 1; }
  sleep .1
done
said=$(at "$sentinel" "$sport" SENTINEL FAILOVER "$name")
[ "$said" = OK ] || { echo "refused $said"; exit 1; }
n=0
while :; do
  now=$(at "$new" "$port" INFO replication)
  case $now in *role:master*) break ;; esac
  hold || { echo "paused no longer"; exit 1; }
  n=$((n + 1)); [ $n -lt 80 ] || { echo "late"; exit 1; }
  sleep .1
done
at "$old" "$port" REPLICAOF "$new" "$port" >/dev/null
at "$old" "$port" CLIENT KILL TYPE normal SKIPME yes >/dev/null
echo "promoted $has $(echo "$now" | field second_repl_offset)"
"""


@dataclass(frozen=True, slots=True)
class Switched:
    """Which became the master in place of which, in how many seconds, and how many bytes of writes were lost.

    It lost what the last master had written beyond where the new one's own history begins.
    """

    old: Service
    new: Service
    seconds: float
    lost: int


def switch(
    topology: Topology, doors: DoorTo, to: str | None = None, pause: Callable[[float], None] = time.sleep
) -> Switched:
    """Make the Redis of the machine `to` the master; without, the replica that Sentinel would choose.

    Raises OpsError where no replica is in sync, or the switch was refused; writes then go on as before.
    """
    known = several(topology, doors)
    new = _target(known, to)
    began = time.monotonic()
    _set_priority(topology, doors, known, new, pause)
    try:
        said = _run(topology, doors, known, new)
    finally:
        lines_of(doors(new), "CONFIG", "SET", "replica-priority", "100")
    lost = max(0, int(said[1]) - (int(said[2]) - 1))
    until = time.monotonic() + _SECONDS
    while (found := several(topology, doors)).master != new or not found.in_sync:
        if time.monotonic() >= until:
            raise OpsError(
                msg("{new} is the master, but not all know it yet", new=new.name),
                msg("`techsapo health` tells when"),
            )
        pause(0.2)
    return Switched(known.master, new, time.monotonic() - began, lost)


def switch_over(stack: Stack, to: str | None) -> Switched:
    """The same of a stack that runs."""
    return switch(stack.topology, lambda service: door_to(stack, service), to)


def _target(known: Several, to: str | None) -> Service:
    by_machine = {_machine(each.server): each for each in known.replicas}
    if to is None:
        if not known.in_sync:
            reasons = ", ".join(f"{each.server.name}: {each.trouble}" for each in known.replicas)
            raise OpsError(
                msg("no replica is in sync, so that a switch would lose writes ({reasons})", reasons=reasons),
                msg("`techsapo health` tells what is wrong; nothing was changed"),
            )
        return known.in_sync[0]
    if _machine(known.master) == to:
        raise OpsError(
            msg("the Redis of {to} is the master already", to=to), msg("nothing was changed"), exit_code=2
        )
    if to not in by_machine:
        raise OpsError(
            msg("{to} has no replica", to=repr(to)),
            msg("there are: {names}", names=", ".join(by_machine) or msg("none")),
            exit_code=2,
        )
    if trouble := by_machine[to].trouble:
        raise OpsError(
            msg("the replica of {to} is not in sync: {trouble}", to=to, trouble=trouble),
            msg("`techsapo health` tells what is wrong; nothing was changed"),
        )
    return by_machine[to].server


def _machine(service: Service) -> str:
    assert service.machine is not None  # noqa: S101 - of a topology with machines
    return service.machine.name


def _set_priority(
    topology: Topology, doors: DoorTo, known: Several, new: Service, pause: Callable[[float], None]
) -> None:
    """See that Sentinel chooses `new`: it looks at priorities every ten seconds."""
    lines_of(doors(new), "CONFIG", "SET", "replica-priority", _FIRST)
    until = time.monotonic() + _SECONDS
    while True:
        lines = lines_of(doors(known.sentinel), "SENTINEL", "REPLICAS", topology.spec.project)
        told = list(zip(lines[::2], lines[1::2], strict=False))
        address = topology.address(new, Viewpoint.SERVICE).host
        own = told[next((n for n, pair in enumerate(told) if pair == ("ip", address)), len(told)) :]
        if next((value for field, value in own if field == "slave-priority"), "") == _FIRST:
            return
        if time.monotonic() >= until:
            raise OpsError(
                msg("the Sentinels do not choose {new}", new=new.name), msg("nothing was changed; try again")
            )
        pause(0.5)


def _run(topology: Topology, doors: DoorTo, known: Several, new: Service) -> list[str]:
    door, at = doors(new), partial(topology.address, viewpoint=Viewpoint.SERVICE)
    sentinel = at(known.sentinel)
    # Where it is, each question of the script says itself.
    client = " ".join(("redis-cli", "--no-auth-warning", *_login(door.options)))
    words = (
        at(known.master).host, at(new).host, str(new.port), sentinel.host, str(sentinel.port),
        topology.spec.project, client, str(PAUSE_MS),
    )  # fmt: skip
    script = Door(door.runner, door.enter, env=door.env)
    said = script.run("sh", "-c", _SCRIPT, "switchover", *words, timeout=_SECONDS).stdout.decode().split()
    if said[:1] == ["promoted"] and len(said) == 3:
        return said
    why = {
        "paused": msg("{master} did not let writes wait", master=known.master.name),
        "behind": msg("{new} did not catch up", new=new.name),
        "refused": msg("Sentinel refused: {said}", said=" ".join(said[1:])),
        "late": msg("{new} was not promoted in time", new=new.name),
    }.get(said[0] if said else "", msg("nobody answered"))
    raise OpsError(
        msg("Redis was not switched over: {why}", why=why),
        msg("`techsapo health` tells which one is the master; writes go on there"),
    )


def _login(options: tuple[str, ...]) -> tuple[str, ...]:
    """`options` of redis-cli without where it connects."""
    left, skip = [], False
    for word in options:
        if skip or word in ("-h", "-p"):
            skip = not skip and word in ("-h", "-p")
            continue
        left.append(word)
    return tuple(left)

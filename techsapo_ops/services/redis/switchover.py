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
from techsapo_ops.services.redis.client import DoorTo, Several, door_to, lines_of, several
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

PAUSE_MS = 4000
"""Writes wait so long at most, also where whoever asked for the switch is gone: clients try for longer."""
_SECONDS = 60.0
_LOOKS = 120
"""How often a Sentinel is asked for its choice, twice a second: it looks at priorities every ten seconds."""
_SCRIPT_SECONDS = 180.0
# Run where the new master is, in one go: on the way there by ssh a single question would take too long. What
# it changes it changes back, also where whoever called it is gone. It is told the last master, the new one, a
# Sentinel, the name that Sentinels know, and how redis-cli gets in. A priority of 1 is before that of all
# others, 100. What is compared was written before writes began to wait, and they still wait.
_SCRIPT = """
old=$1 new=$2 port=$3 sentinel=$4 sport=$5 name=$6 cli=$7 pause=$8 patience=$9
waits= open=
at() { host=$1 where=$2; shift 2; timeout 2 $cli -h "$host" -p "$where" "$@" 2>&1 | tr -d '\\r'; }
field() { sed -n "s/^$1://p"; }
hold() { [ "$(at "$old" "$port" CLIENT PAUSE "$pause" WRITE)" = OK ]; }
end() {
  at "$new" "$port" CONFIG SET replica-priority 100 >/dev/null
  # While it may still be promoted, they wait as long as they may: what they write would be lost
  [ -z "$waits" ] || [ -n "$open" ] || at "$old" "$port" CLIENT UNPAUSE >/dev/null
}
chosen() {
  at "$sentinel" "$sport" SENTINEL REPLICAS "$name" | {
    it= another=
    while read -r key && read -r value; do
      case $key in
        name) ip= flags= ;;
        ip) ip=$value ;;
        flags) flags=$value ;;
        slave-priority)
          if [ "$ip" = "$new" ]; then it=$value
          else case $flags in *down*) ;; *) [ "$value" != 1 ] || another=$ip ;; esac; fi ;;
      esac
    done
    [ "$it" = 1 ] && [ -z "$another" ]
  }
}
trap end EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
at "$new" "$port" CONFIG SET replica-priority 1 >/dev/null
n=0
until chosen; do
  n=$((n + 1)); [ $n -lt "$patience" ] || { echo "passed over"; exit 1; }
  sleep .5
done
n=0 waits=yes
while :; do
  hold || { echo "paused not"; exit 1; }
  has=$(at "$old" "$port" INFO replication | field master_repl_offset)
  there=$(at "$new" "$port" INFO replication | field slave_repl_offset)
  [ -n "$has" ] && [ "${there:-0}" -ge "$has" ] && break
  n=$((n + 1))
  [ $n -lt 20 ] || { [ -n "$has" ] && echo "behind" || echo "silent"; exit 1; }
  sleep .1
done
echo asked || exit 1
said=$(at "$sentinel" "$sport" SENTINEL FAILOVER "$name")
case $said in OK | "") ;; *) echo "refused $said"; exit 1 ;; esac
n=0 open=yes
while :; do
  now=$(at "$new" "$port" INFO replication)
  case $now in *role:master*) break ;; esac
  hold || { echo late; exit 1; }
  n=$((n + 1)); [ $n -lt 80 ] || { echo late; exit 1; }
  sleep .1
done
open=
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

    Raises OpsError where no replica is in sync, or the switch was refused: writes then go on as before; and
    where it is not known how it ended, in words that say so.
    """
    known = several(topology, doors)
    new = _target(known, to)
    began = time.monotonic()
    for other in {known.master, *known.in_sync} - {new}:  # an older switch that was killed may have left one
        lines_of(doors(other), "CONFIG", "SET", "replica-priority", "100")
    has, begins = _run(topology, doors, known, new)
    lost = max(0, has - (begins - 1))
    until = time.monotonic() + _SECONDS
    while (state := several(topology, doors)).master != new or not state.in_sync:
        if time.monotonic() >= until:
            raise OpsError(
                msg("{new} is the master, but not all servers know this yet", new=new.name),
                msg("`techsapo health` shows when all servers know this"),
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
                msg("no replica is in sync, so a switchover would lose writes ({reasons})", reasons=reasons),
                msg("`techsapo health` shows what is wrong; nothing was changed"),
            )
        return known.in_sync[0]
    if _machine(known.master) == to:
        raise OpsError(
            msg("the Redis on host {to} is already the master", to=to),
            msg("nothing was changed"),
            exit_code=2,
        )
    if to not in by_machine:
        raise OpsError(
            msg("host {to} has no replica", to=repr(to)),
            msg("hosts with a replica: {names}", names=", ".join(by_machine) or msg("none")),
            exit_code=2,
        )
    if trouble := by_machine[to].trouble:
        raise OpsError(
            msg("the replica on host {to} is not in sync: {trouble}", to=to, trouble=trouble),
            msg("`techsapo health` shows what is wrong; nothing was changed"),
        )
    return by_machine[to].server


def _machine(service: Service) -> str:
    return service.machine.name


def _run(topology: Topology, doors: DoorTo, known: Several, new: Service) -> tuple[int, int]:
    """How far the last master had written, and where the new one's own history begins. Raises OpsError."""
    door, at = doors(new), partial(topology.address, viewpoint=Viewpoint.SERVICE)
    sentinel = at(known.sentinel)
    # Where it is, each question of the script says itself.
    client = " ".join(("redis-cli", "--no-auth-warning", *_login(door.options)))
    words = (
        at(known.master).host, at(new).host, str(new.port), sentinel.host, str(sentinel.port),
        topology.spec.project, client, str(PAUSE_MS), str(_LOOKS),
    )  # fmt: skip
    script = Door(door.runner, door.enter, env=door.env)
    done = script.run("sh", "-c", _SCRIPT, "switchover", *words, timeout=_SCRIPT_SECONDS)
    lines = done.stdout.decode(errors="replace").splitlines()
    word, *figures = lines[-1].split() if lines else [""]
    if word == "promoted" and len(figures) == 2:
        return int(figures[0]), int(figures[1])
    why = {
        "passed": msg("the Sentinels do not choose {new}", new=new.name),
        "paused": msg("{master} did not pause writes", master=known.master.name),
        "silent": msg("{master} did not report how much it has written", master=known.master.name),
        "behind": msg("{new} did not catch up with the master", new=new.name),
        "refused": msg("Sentinel refused: {said}", said=" ".join(figures)),
    }.get(word, "" if lines else msg("no answer"))
    if why:
        raise OpsError(
            msg("Redis was not switched over: {why}", why=why),
            msg("`techsapo health` shows what is wrong; {master} is still the master",
                master=known.master.name),
        )  # fmt: skip
    raise OpsError(
        msg("{new} did not become the master in time, but may still become it", new=new.name),
        msg("`techsapo health` shows which Redis is the master; check this before you try again"),
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

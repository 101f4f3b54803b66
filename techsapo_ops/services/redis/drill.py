"""What a drill asks of several Redis: whether all is in step, who leads, and what becomes of plain writes.

Those wait for no replica. They are made where a Redis runs, twenty a second at most, and lapse after ten
minutes. Times are of that machine's own clock since its start, so that no two clocks are compared.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.client import login_options
from techsapo_ops.services.redis.configuration import MIN_REPLICAS_MAX_LAG
from techsapo_ops.services.redis.door import door_to
from techsapo_ops.services.redis.kind import Redis
from techsapo_ops.services.redis.sentinel import Sentinel
from techsapo_ops.services.redis.several import Several, several
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

WINDOW = ("min-replicas-max-lag", MIN_REPLICAS_MAX_LAG)
"""The setting that bounds for how long writes are taken that may be lost, in seconds."""
_MORE = 120.0
"""Seconds that the way there may stand still: a machine that is cut off tells once it is back."""
_SCRIPT = """
at=$1 port=$2 sentinel=$3 sport=$4 name=$5 prefix=$6 seconds=$7 follow=$8 cli=$9
ask() { host=$1 where=$2; shift 2; timeout 1 $cli -h "$host" -p "$where" "$@" 2>/dev/null | tr -d '\\r'; }
clock() { read -r up _ </proc/uptime; now=${up%.*}${up#*.}; }
clock
stop=$((now + seconds * 100)) n=0
while [ "$now" -lt "$stop" ]; do
  n=$((n + 1))
  said=$(ask "$at" "$port" SET "$prefix$n" "$n" EX 600)
  clock
  if [ "$said" = OK ]; then
    echo "$now $n $at"
  elif [ "$follow" = yes ]; then
    new=$(ask "$sentinel" "$sport" SENTINEL GET-MASTER-ADDR-BY-NAME "$name" | head -n 1)
    [ -z "$new" ] || at=$new
  fi
  sleep .05
done
"""


def leader(stack: Stack) -> Service:
    """The Redis that is the master. Raises OpsError where no Sentinel knows it."""
    return _known(stack).master


def trouble(stack: Stack) -> Iterator[str]:
    """Why none of them can be done without."""
    try:
        known = _known(stack)
    except OpsError as error:
        yield error.message
        return
    sentinels = len(stack.topology.of_kind(Sentinel.facts.kind))
    if known.answering < sentinels:
        yield msg("{there} of {all} Sentinels answer", there=known.answering, all=sentinels)
    if len(known.in_sync) < len(stack.topology.of_kind(Redis.facts.kind)) - 1:
        reasons = ", ".join(f"{each.server.name}: {each.trouble}" for each in known.replicas if each.trouble)
        yield msg(
            "not all replicas of Redis are in sync ({reasons})", reasons=reasons or msg("one is unknown")
        )


def writers(stack: Stack, run: str, host: str, seconds: int, *, cut: bool) -> tuple[Writer, ...]:
    """Who writes while a drill takes something of `host`: one beside a Redis that stays.

    Where the host is `cut` off with the master, one beside that, too.
    """
    servers = stack.topology.of_kind(Redis.facts.kind)
    on = {s.machine.name: s for s in servers if s.machine is not None}
    near = next(server for name, server in on.items() if name != host)
    found = [Writer(stack, near, run, seconds, alone=False)]
    if cut and leader(stack) == on[host]:
        found.append(Writer(stack, on[host], run, seconds, alone=True))
    return tuple(found)


def _known(stack: Stack) -> Several:
    return several(stack.topology, lambda service: door_to(stack, service))


@dataclass(frozen=True, slots=True)
class Taken:
    """A write that a Redis took: when, in seconds, its number, and the address of that Redis."""

    at: float
    number: int
    by: str


@dataclass(frozen=True, slots=True)
class Plain:
    """All that were taken, in their order."""

    taken: tuple[Taken, ...]

    @property
    def gap(self) -> float | None:
        """The longest time in which none was taken; None where there were fewer than two."""
        times = [each.at for each in self.taken]
        return max((b - a for a, b in pairwise(times)), default=None)

    def lost(self, there: Sequence[int]) -> tuple[int, float]:
        """How many of them are not `there`, and over how many seconds they were taken."""
        gone = [each.at for each in self.taken if each.number not in set(there)]
        return len(gone), max(gone) - min(gone) if gone else 0.0

    def after(self, moment: float) -> float:
        """Seconds from `moment` until the last one was taken; 0 where none was after it."""
        return max([each.at - moment for each in self.taken if each.at > moment], default=0.0)


def parse(text: str) -> Plain:
    """What the script says; a line that was cut short is left out."""
    words = (line.split() for line in text.splitlines())
    return Plain(tuple(Taken(int(w[0]) / 100, int(w[1]), w[2]) for w in words if len(w) == 3))


class Writer(threading.Thread):
    """Writes where `service`, a Redis, runs, for so many seconds: to the master, or to that one `alone`."""

    def __init__(self, stack: Stack, service: Service, run: str, seconds: int, *, alone: bool) -> None:
        super().__init__(name=f"drill writer {service.name}", daemon=True)
        self.service = service
        self.prefix = f"techsapo:drill:{run}:{service.name}:"
        self._stack, self._seconds, self._alone = stack, seconds, alone
        self._said = ""
        self._master = service

    def begin(self, master: Service) -> None:
        """Start it, at the `master` there is now."""
        self._master = master
        self.start()

    def run(self) -> None:
        """As a thread: to the end of its time, or of the way there."""
        door, topology = door_to(self._stack, self.service), self._stack.topology
        near = next(s for s in topology.of_kind(Sentinel.facts.kind) if s.machine == self.service.machine)
        to, told = (topology.address(s, Viewpoint.SERVICE) for s in (self._master, near))
        client = " ".join(("redis-cli", "--no-auth-warning", *login_options(topology)))
        words = (
            to.host, str(to.port), told.host, str(told.port), topology.spec.project, self.prefix,
            str(self._seconds), "no" if self._alone else "yes", client,
        )  # fmt: skip
        script = Door(door.runner, door.enter, env=door.env)
        try:
            done = script.run("sh", "-c", _SCRIPT, "drill", *words, timeout=self._seconds + _MORE)
        except OpsError:
            return  # what it wrote is not known then, and said so
        self._said = done.stdout.decode(errors="replace")

    def found(self) -> Plain:
        """What was taken, at its end."""
        if self.ident is not None:
            self.join(self._seconds + _MORE)
        return parse(self._said)

    def there(self, master: Service, taken: Sequence[Taken]) -> tuple[int, ...]:
        """The numbers of those writes that `master` has. Raises OpsError where it does not say."""
        topology = self._stack.topology
        to, door = topology.address(master, Viewpoint.SERVICE), door_to(self._stack, self.service)
        options = ("-h", to.host, "-p", str(to.port), *login_options(topology), "--no-auth-warning")
        asked = Door(door.runner, door.enter, options, door.env)
        questions = "".join(f"EXISTS {self.prefix}{each.number}\n" for each in taken)
        done = asked.run("redis-cli", stdin=questions.encode())
        said = done.stdout.decode(errors="replace").split()
        if done.code != 0 or len(said) != len(taken) or not set(said) <= {"0", "1"}:
            raise OpsError(
                msg("{master} does not say which writes it has: {said}",
                    master=master.name, said=" ".join(said[:12]) or done.output),
                "`techsapo health`",
            )  # fmt: skip
        return tuple(each.number for each, one in zip(taken, said, strict=True) if one == "1")

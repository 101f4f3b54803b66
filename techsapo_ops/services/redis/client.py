"""How redis-cli gets to the stack's own Redis, of several to the master, or to a throwaway one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.accounts import OPERATOR, accounts_made, password_file, tls_options
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack


CLIENT = "redis-cli"
_LOOKS = 240
_STUCK = 60
"""Looks after which a failover that still runs never ends: it waits for a replica that was stopped since."""
SECONDS = 10.0
"""Longest time for one question; a machine that is lost answers none."""


def login_options(topology: Topology) -> tuple[str, ...]:
    """Options that name the account, where there is one, and make it speak TLS, where Redis does."""
    user = OPERATOR if accounts_made(topology) else topology.spec.redis.user
    account = ("--user", user) if user is not None else ()
    return (*tls_options(topology), *account)


def client_options(topology: Topology, service: Service) -> tuple[str, ...]:
    """Options by which it gets to a Redis or a Sentinel from where that runs, logged in."""
    at = topology.address(service, Viewpoint.WITHIN)
    return ("-h", at.host, "-p", str(at.port), *login_options(topology))


def entered_client(topology: Topology, service: Service, *words: str) -> Command:
    """redis-cli with the operator's login, in the container of a Redis or a Sentinel."""
    options = (*client_options(topology, service), "--no-auth-warning")
    return Command((CLIENT, *options, *words), login_environment(topology))


def known_password(topology: Topology) -> Secret | None:
    """The password that goes with it, where there is one that this user may read."""
    if not accounts_made(topology):
        return topology.spec.redis.password
    try:
        return Secret(password_file(topology.layout, OPERATOR).read_text(encoding="utf-8").strip())
    except OSError:
        return None


def login_environment(topology: Topology) -> dict[str, str]:
    """The same for redis-cli; nothing where there is none."""
    password = known_password(topology)
    return {"REDISCLI_AUTH": password.reveal()} if password is not None else {}


def redis_door(stack: Stack) -> Door:
    """The way to the stack's Redis; of several to the master, where the Sentinels know one."""
    first, *others = stack.topology.of_kind("redis")
    if others:
        return door_to(stack, several(stack.topology, lambda service: door_to(stack, service)).master)
    return door_to(stack, first)


def door_to(stack: Stack, service: Service) -> Door:
    """The way to one Redis, or one Sentinel."""
    door = Door(stack.runner, lambda command: stack.engine.enter(service.name, command))
    return operators(door, stack.topology, service)


def operators(door: Door, topology: Topology, service: Service) -> Door:
    """`door`, which leads to where `service` runs, for its own client with the operator's login."""
    return replace(door, options=client_options(topology, service), env=login_environment(topology))


def scratch_door(scratch: Scratch, runner: Runner) -> Door:
    """The way to a throwaway Redis."""
    assert scratch.enter is not None  # noqa: S101 - every engine gives one
    at = ("-h", scratch.address.host, "-p", str(scratch.address.port))
    return Door(runner, scratch.enter, at, scratch_client(scratch).env)


def scratch_client(scratch: Scratch) -> Command:
    """The client of a throwaway Redis, for who is in its container."""
    password = scratch.password.reveal() if scratch.password is not None else ""
    return Command(("redis-cli",), {"REDISCLI_AUTH": password})


DoorTo = Callable[[Service], Door]
"""The operator's way to a Redis or a Sentinel, from inside of its own container."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica, as Sentinel sees it: `trouble` is why it can't be the master, "" where it can."""

    server: Service
    trouble: str


@dataclass(frozen=True, slots=True)
class Several:
    """The master by the newest of the Sentinels that answer, one of those that say so, and the replicas."""

    master: Service
    sentinel: Service
    replicas: tuple[Replica, ...]
    answering: int
    """How many Sentinels answer."""

    @property
    def in_sync(self) -> tuple[Service, ...]:
        """The replicas that can be the master."""
        return tuple(each.server for each in self.replicas if not each.trouble)


def several(topology: Topology, door_to: DoorTo) -> Several:
    """Ask the Sentinels. Raises OpsError where none of them knows a master that is part of the stack."""
    masters: list[tuple[int, Service, str]] = []
    silent: list[str] = []
    for sentinel in topology.of_kind("sentinel"):
        lines = lines_of(door_to(sentinel), "SENTINEL", "MASTER", topology.spec.project)
        fields = dict(zip(lines[::2], lines[1::2], strict=False))
        if "ip" in fields:
            masters.append((int(fields.get("config-epoch", "0")), sentinel, fields["ip"]))
        else:
            silent.append(sentinel.name)
    if not masters:
        raise OpsError(
            msg("no Sentinel answers: {names}", names=", ".join(silent)),
            msg(
                "`techsapo ps` shows what is running; if {name} is not, `techsapo logs {name}` shows why",
                name=silent[0],
            ),
        )
    _, sentinel, address = max(masters, key=lambda each: each[0])
    servers = topology.of_kind("redis")
    by_address = {topology.address(each, Viewpoint.SERVICE).host: each for each in servers}
    if address not in by_address:
        raise OpsError(
            msg("the Sentinels name {address} as the master, but no host has that address", address=address),
            msg(
                "wait until the Sentinels choose another master, or put the host with that address back into "
                "the spec"
            ),
        )
    lines = lines_of(door_to(sentinel), "SENTINEL", "REPLICAS", topology.spec.project)
    replicas = tuple(
        Replica(by_address[fields["ip"]], _trouble(fields))
        for fields in _each(lines)
        if fields["ip"] in by_address
    )
    return Several(by_address[address], sentinel, replicas, len(masters))


def trouble(topology: Topology, door_to: DoorTo) -> Iterator[str]:
    """Why none of them can be done without, as sentences; nothing where all are in sync."""
    try:
        known = several(topology, door_to)
    except OpsError as error:
        yield error.message
        return
    sentinels = len(topology.of_kind("sentinel"))
    if known.answering < sentinels:
        yield msg("{there} of {all} Sentinels answer", there=known.answering, all=sentinels)
    if len(known.in_sync) < len(topology.of_kind("redis")) - 1:
        reasons = ", ".join(f"{each.server.name}: {each.trouble}" for each in known.replicas if each.trouble)
        yield msg(
            "not all replicas of Redis are in sync ({reasons})",
            reasons=reasons or msg("the state of one replica is unknown"),
        )


def calm(topology: Topology, doors: DoorTo, pause: Callable[[float], None]) -> None:
    """Wait until no Sentinel that answers takes the master for lost: a failover that has begun would promote
    the first replica that is started, with the data that it had. Raises OpsError where that lasts.

    The master runs, the others don't. A Sentinel that waits for one of those to end its failover forgets it.
    """
    for look in range(_LOOKS):
        flags = {each: _flags(doors(each), topology) for each in topology.of_kind("sentinel")}
        known = [each for each in flags.values() if each]
        if known and all(each == {"master"} for each in known):
            return
        if look == _STUCK:
            for sentinel, each in flags.items():
                if "failover_in_progress" in each and not each & {"s_down", "o_down"}:
                    lines_of(doors(sentinel), "SENTINEL", "RESET", topology.spec.project)
        pause(0.5)
    raise OpsError(
        msg("the Sentinels still consider the master lost"),
        msg("`techsapo logs sentinel` shows why; then `techsapo up` starts the other Redis"),
    )


def in_step(
    master: Service, others: Sequence[Service], doors: DoorTo, pause: Callable[[float], None]
) -> None:
    """Wait until each of `others` has copied what `master` has. Raises OpsError where one doesn't."""
    left = list(others)
    for _ in range(_LOOKS):
        left = [server for server in left if not _copied(doors(server))]
        if not left:
            return
        pause(0.5)
    names = ", ".join(server.name for server in left)
    raise OpsError(
        msg("{names} did not copy the data of {master}", names=names, master=master.name),
        f"`techsapo logs {left[0].name}`",
    )


def _copied(door: Door) -> bool:
    info = dict(line.split(":", 1) for line in lines_of(door, "INFO", "replication") if ":" in line)
    return info.get("role") == "slave" and info.get("master_link_status") == "up"


def _flags(door: Door, topology: Topology) -> set[str]:
    """What a Sentinel says of the master, by its words; none where it does not answer."""
    lines = lines_of(door, "SENTINEL", "MASTER", topology.spec.project)
    return set(dict(zip(lines[::2], lines[1::2], strict=False)).get("flags", "").split(",")) - {""}


def lines_of(door: Door, *words: str) -> list[str]:
    """What a server answers, by line; nothing where it can't be reached."""
    try:
        done = door.run("redis-cli", "--no-auth-warning", *words, timeout=SECONDS)
    except OpsError:
        return []
    return done.stdout.decode(errors="replace").splitlines() if done.code == 0 else []


def _each(lines: list[str]) -> Iterator[dict[str, str]]:
    """The replicas of an answer to SENTINEL REPLICAS, each of which begins with its name."""
    replica: dict[str, str] = {}
    for field, value in zip(lines[::2], lines[1::2], strict=False):
        if field == "name" and replica:
            yield replica
            replica = {}
        replica[field] = value
    if replica:
        yield replica


def _trouble(replica: dict[str, str]) -> str:
    flags = set(replica.get("flags", "").split(",")) & {"s_down", "o_down", "disconnected"}
    if flags:
        return msg("no answer")
    if replica.get("master-link-status") != "ok":
        return msg("no connection to the master")
    return ""

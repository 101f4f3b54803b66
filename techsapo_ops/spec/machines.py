"""What a stack on several machines needs of its spec."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Context, Finding, Path

NUMBERS = (3, 5)
"""How many machines a stack may have: of an even number no half may go on alone (Docker's docs on Raft)."""
NAMES = 63 - len("_blackbox-exporter-")
"""Characters that the project and a host's name may have together: what Docker lets a service's name have."""
_MACHINES: Path = ("hosts",)
_ENGINE: Path = ("engine",)


def machines(spec: Spec, context: Context) -> Iterator[Finding]:
    """The machines are enough, and different ones; the databases that are kept on all of them are there."""
    if spec.engine != "swarm":
        yield from _unused(spec)
        return
    count = len(spec.hosts)
    if count not in NUMBERS:
        yield Finding(
            _MACHINES,
            msg("engine: swarm needs three or five hosts, but the spec has {count}", count=count),
            msg(
                "an even number of hosts can split into two halves, and neither has a majority: add or "
                "remove one host"
            )
            if count in {2, 4}
            else msg('list the hosts: `hosts: {{a: {{address: 10.0.0.1, docker: "ssh://ops@a"}}, …}}`'),
            uses=(_ENGINE,),
        )
    yield from _twice(spec)
    yield from _sixes(spec)
    yield from _long(spec)
    yield from _floating(spec)
    yield from _meeting(spec, context)
    for section, there in (("redis", spec.redis.enabled), ("mysql", spec.mysql is not None)):
        if not there:
            yield Finding(
                (section,),
                msg("engine: swarm needs Redis and MariaDB on each host for its essential data"),
                msg("add `mysql: {{}}`") if section == "mysql" else msg("remove `enabled: false`"),
                uses=(_ENGINE,),
            )
    if spec.nginx.enabled is False:
        yield Finding(
            ("nginx", "enabled"),
            msg("with several hosts, nginx is required, because users reach the stack through it"),
            msg("remove this key"),
            uses=(_ENGINE,),
        )


def _unused(spec: Spec) -> Iterator[Finding]:
    for key, given in (("hosts", bool(spec.hosts)), ("floating_address", spec.floating_address is not None)):
        if given:
            yield Finding(
                (key,),
                msg("only engine: swarm supports several hosts"),
                msg("write `engine: swarm`, or remove this key"),
                uses=(_ENGINE,),
            )


def _twice(spec: Spec) -> Iterator[Finding]:
    for field in ("address", "docker"):
        times = Counter(getattr(host, field) for host in spec.hosts.values())
        for name, host in spec.hosts.items():
            value = getattr(host, field)
            first = next(key for key, other in spec.hosts.items() if getattr(other, field) == value)
            if times[value] > 1 and name != first:
                yield Finding(
                    ("hosts", name, field),
                    msg("host {first} already has {value}", value=value, first=first),
                    msg("give each host its own value"),
                    uses=(("hosts", first, field),),
                )


def _sixes(spec: Spec) -> Iterator[Finding]:
    """IPv6 between hosts: Docker's bridge from containers to their own host's network has none by default."""
    for name, host in spec.hosts.items():
        if ipaddress.ip_address(host.address).version != 4:
            yield Finding(
                ("hosts", name, "address"),
                msg("{value} is IPv6; containers reach the hosts only by IPv4", value=host.address),
                msg("write the host's IPv4 address"),
            )


def _long(spec: Spec) -> Iterator[Finding]:
    for name in spec.hosts:
        if (over := len(spec.project) + len(name) - NAMES) > 0:
            yield Finding(
                ("project",),
                msg(
                    "together with the host name {name}, the project name is {over} characters too long for "
                    "Swarm",
                    name=name,
                    over=over,
                ),
                msg(
                    "shorten `project` or the host name: a Swarm service is named PROJECT_KIND-HOST, with "
                    "at most 63 characters"
                ),
                uses=(("hosts", name),),
            )


def _meeting(spec: Spec, context: Context) -> Iterator[Finding]:
    """No address of the hosts is one that a container might be given: containers could not reach it."""
    network = ipaddress.ip_network(spec.swarm.subnet)
    subnet: Path = ("swarm", "subnet")
    places: list[tuple[Path, str, ipaddress.IPv4Address | ipaddress.IPv6Address]] = [
        (
            ("hosts", name, "address"),
            msg("the address of host {name}", name=name),
            ipaddress.ip_address(host.address),
        )
        for name, host in spec.hosts.items()
    ]
    if spec.floating_address is not None:
        own = ipaddress.ip_interface(spec.floating_address).ip
        places.append((("floating_address",), msg("the floating address"), own))
    for path, whose, address in [each for each in places if each[2] in network][:1]:
        yield Finding(
            subnet if context.written(subnet) else path,
            msg(
                "{address} ({whose}) is in {network}, the network of the containers (swarm.subnet)",
                address=address,
                whose=whose,
                network=network,
            ),
            msg("set `swarm: {{subnet: …}}` to a network that no host belongs to or can reach"),
            uses=(path, subnet),
        )


def _floating(spec: Spec) -> Iterator[Finding]:
    path: Path = ("floating_address",)
    if spec.floating_address is None:
        return
    floating, whose = ipaddress.ip_interface(spec.floating_address), ""
    for name, host in spec.hosts.items():
        own = ipaddress.ip_address(host.address)
        if own == floating.ip and not whose:
            whose = name
            yield Finding(
                path,
                msg("{address} is already the address of host {name}", address=own, name=name),
                msg("use an address that no host has"),
                uses=(("hosts", name, "address"),),
            )
        elif own.version != floating.version:
            yield Finding(
                path,
                msg(
                    "{address} and the address {own} of host {name} are of different IP versions",
                    address=floating.ip,
                    own=own,
                    name=name,
                ),
                msg("set floating_address to an IPv{version} address", version=own.version),
                uses=(("hosts", name, "address"),),
            )
            return
        if own not in floating.network:
            yield Finding(
                path,
                msg(
                    "host {name} ({address}) is not in the floating address's network {network}",
                    name=name,
                    address=own,
                    network=floating.network,
                ),
                msg("put the hosts and the floating address into the same network segment"),
                uses=(("hosts", name, "address"),),
                warning=True,
            )


def redis_of_machines(spec: Spec, _: Context) -> Iterator[Finding]:
    """It is reached over a network: by TLS, and with accounts whose passwords are made."""
    redis = spec.redis
    if not spec.hosts or not redis.enabled:
        return
    if not redis.tls:
        yield Finding(
            ("redis", "tls"),
            msg("with several hosts, Redis always uses TLS because it communicates over a network"),
            msg("remove this key"),
            uses=(_MACHINES,),
        )
    for field in ("user", "password", "accounts"):
        value = getattr(redis, field)
        if value not in (None, True):
            yield Finding(
                ("redis", field),
                msg(
                    "with several hosts, Redis always has separate accounts for each client and for its "
                    "replicas"
                ),
                msg("remove this key: `techsapo config secrets list` shows the accounts"),
                uses=(_MACHINES,),
            )


def evidence_at(spec: Spec) -> str:
    """When the app is given evidence of its stack: on several hosts a run takes the lock for seconds."""
    return "*/5 * * * *" if spec.hosts else "* * * * *"

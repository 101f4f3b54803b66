"""Several machines, the ways to their Docker daemons, and the address that moves between them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import (
    DOCKER_PATTERN,
    HOST_KEY_PATTERN,
    Means,
    NotASwitch,
    Section,
)


def _address(value: str) -> str:
    """The address of one machine, as others reach it."""
    import ipaddress

    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(
            msg("{value} is not an IP address; write e.g. 10.0.0.1", value=repr(value))
        ) from None
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        raise ValueError(msg("other hosts can't reach this host at {value}", value=value))
    return str(address)


def _floating(value: str) -> str:
    """An address that is given to an interface, with the length of its network's prefix."""
    import ipaddress

    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise ValueError(
            msg("{value} is not an address; write e.g. 10.0.0.100/24", value=repr(value))
        ) from None
    if interface.ip.is_unspecified or interface.ip.is_loopback or interface.ip.is_multicast:
        raise ValueError(msg("clients can't connect to {value}", value=value))
    network = interface.network
    if "/" not in value:
        length = 24 if interface.version == 4 else 64
        raise ValueError(
            msg(
                "{value} has no prefix length; write e.g. {value}/{length}", value=interface.ip, length=length
            )
        )
    if network.num_addresses > 2:
        if interface.ip == network.network_address:
            raise ValueError(msg("{value} is a network address, which no host can have", value=value))
        if interface.version == 4 and interface.ip == network.broadcast_address:
            raise ValueError(msg("{value} is the broadcast address of its network", value=value))
    return str(interface)


def _subnet(value: str) -> str:
    import ipaddress

    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(
            msg("{value} is not a network; write e.g. 10.99.0.0/20", value=repr(value))
        ) from None
    if network.version != 4 or not 16 <= network.prefixlen <= 24:
        raise ValueError(msg("must be an IPv4 network from /16 to /24"))
    return str(network)


def _docker(value: str) -> str:
    port = value.rpartition(":")[2]
    if value.startswith("ssh://") and port.isdigit() and not 1 <= int(port) <= 65535:
        raise ValueError(msg("the port of {value} must be between 1 and 65535", value=repr(value)))
    return value


MachineAddress = Annotated[str, AfterValidator(_address), Means(msg("IP address"))]
HostKey = Annotated[str, StringConstraints(pattern=HOST_KEY_PATTERN), Means(msg("host name"))]
DockerHost = Annotated[
    str,
    StringConstraints(pattern=DOCKER_PATTERN, max_length=255),
    AfterValidator(_docker),
    Means(msg("ssh://[USER@]HOST[:PORT] or unix://PATH")),
]


class Host(Section):
    """One machine of several."""

    address: MachineAddress
    """IPv4 address at which the other hosts reach this host."""
    docker: DockerHost
    """Address of the host's Docker daemon: ssh://[USER@]HOST[:PORT], or unix:///var/run/docker.sock on the
    host itself.
    """


class Swarm(Section):
    """What of `engine: swarm` is seldom another one."""

    router_id: Annotated[int, Field(ge=1, le=255), NotASwitch] = 51
    """VRRP router id of `floating_address`; must be unique in the network segment."""
    subnet: Annotated[str, AfterValidator(_subnet), Means(msg("network, e.g. 10.99.0.0/20"))] = "10.99.0.0/20"
    """Network of the containers on all hosts; must not overlap a network that the hosts can reach."""
    encrypted: bool = False
    """Encrypt the traffic between containers on different hosts (IPsec ESP, IP protocol 50)."""


FloatingAddress = Annotated[
    str, AfterValidator(_floating), Means(msg("IP address with its prefix length, e.g. 10.0.0.100/24"))
]

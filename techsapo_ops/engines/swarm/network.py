"""The network of the containers, which Swarm makes once and never changes."""

from __future__ import annotations

import ipaddress
import json

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.machines import Swarm

_ENCRYPTED = "encrypted"


def require_network(fleet: Fleet, project: str, wanted: Swarm) -> None:
    """Remove the network where it is there and is not as `wanted`: a deployment would leave it as it is.

    Raises OpsError where something uses it.
    """
    name = f"{project}_net"
    asked = fleet.manager.attempt("network", "inspect", name)
    if asked.code != 0:
        if not fleet.manager.call("network", "ls", "--quiet", "--filter", f"name=^{name}$").split():
            return
        raise OpsError(fleet.manager.words(asked))
    (found,) = json.loads(asked.stdout)
    subnets = [each["Subnet"] for each in found["IPAM"]["Config"] or ()]
    encrypted = _ENCRYPTED in (found["Options"] or {})
    as_wanted = ipaddress.ip_network(wanted.subnet)
    if [ipaddress.ip_network(each) for each in subnets] != [as_wanted]:
        differs = msg(
            "it is {found}, swarm.subnet says {wanted}", found=", ".join(subnets), wanted=wanted.subnet
        )
    elif encrypted != wanted.encrypted:
        differs = (
            msg("it is encrypted, swarm.encrypted says false")
            if encrypted
            else msg("it is not encrypted, swarm.encrypted says true")
        )
    else:
        return
    done = fleet.manager.attempt("network", "rm", found["Id"])
    if done.code != 0:
        raise OpsError(
            msg("the containers' network {name} can't be changed while it is used: {differs}", name=name,
                differs=differs),
            msg("set it back; or `techsapo down`, then `techsapo up`: data stays, nobody is answered then"),
        )  # fmt: skip

"""What keepalived is told, and the scripts that it runs.

VRRP is RFC 9568 (version 3); the words of keepalived.conf are those of keepalived 2.3 (keepalived.conf(5)).
"""

from __future__ import annotations

from techsapo_ops.adapters.address import Address
from techsapo_ops.services.nginx.balancing import FRONT_LOCATION
from techsapo_ops.spec.ports import RAFT
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

KEEPALIVED_CONF = "keepalived/{folder}/keepalived.conf"
CHECK = "keepalived/{folder}/check.sh"
START = "keepalived/{folder}/start.sh"
NOTIFY = "keepalived/notify.sh"
READY = "keepalived/ready.sh"
RUN = "/run/keepalived"
"""Folder in its container in which it notes its pids and its state."""
ADVERT_SECONDS = 0.3
"""Between two signs of life: the others wait for three of them, and a moment more."""
CHECK_SECONDS = 0.5
NGINX_SECONDS = 1.0
PEER_SECONDS = 0.3
"""For an answer of another machine's kernel, in the same network segment."""
_FIRST, _LAST = 200, 100
_SCRIPT = 0o555


def keepalived_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """The configuration and the scripts of each machine's keepalived."""
    machines = [service.machine for service in topology.of_kind("keepalived")]
    common = {"folder": f"{CONTAINER_CONFIG}/keepalived", "run": RUN}
    scripts = [
        RenderedFile(path, templates.render(f"{path}.j2", **common), mode=_SCRIPT) for path in (NOTIFY, READY)
    ]
    for place, machine in enumerate(machines):
        values = {
            **common,
            **_values(topology, machines, machine),
            "priority": priority(place, len(machines)),
        }
        for path, mode in ((KEEPALIVED_CONF, 0o444), (CHECK, _SCRIPT), (START, _SCRIPT)):
            template = f"{path.replace('{folder}/', '')}.j2"
            content = templates.render(template, **values)
            scripts.append(RenderedFile(path.format(folder=machine.own_folder), content, mode=mode))
    return tuple(scripts)


def priority(place: int, machines: int) -> int:
    """Of the machine at `place`: 200 for the first one, 100 for the last.

    Far apart, since a machine waits for the longer the lower its priority is: by 60 ms at three of them.
    """
    return _FIRST - (_FIRST - _LAST) * place // max(machines - 1, 1)


def check_timeout(machines: int) -> float:
    """Seconds that one run of the check may take: as long as all it asks together, and a little more."""
    return round(NGINX_SECONDS + PEER_SECONDS * (machines - 1) + 0.5, 1)


def _values(topology: Topology, machines: list[Machine], own: Machine) -> dict[str, object]:
    spec = topology.spec
    return {
        "machine": own.name,
        "own": f"{CONTAINER_CONFIG}/keepalived/{own.own_folder}",
        "address": own.address,
        "peers": [machine.address for machine in machines if machine != own],
        "floating": spec.floating_address,
        "router_id": spec.swarm.router_id,
        "advert": ADVERT_SECONDS,
        "interval": CHECK_SECONDS,
        "timeout": check_timeout(len(machines)),
        "nginx_seconds": NGINX_SECONDS,
        "peer_seconds": PEER_SECONDS,
        "swarm_port": RAFT,  # between the machines a firewall lets it pass
        "front": Address(own.address, spec.nginx.listen).url(FRONT_LOCATION),
    }

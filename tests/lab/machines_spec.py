"""A spec of a stack on three machines, and what is rendered for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monitoring_stack import topology_of
from stacks import rendered

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.services.prometheus.alert_rules import alert_rule
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.topology import Topology

ON_MACHINES: dict[str, Any] = {
    "project": "techsapo",
    "engine": "swarm",
    "hosts": {
        name: {"address": f"10.77.0.{number}", "docker": f"unix:///lab/{name}/docker.sock"}
        for number, name in enumerate("abc", 1)
    },
    "floating_address": "10.77.0.100/24",
    "mysql": {},
}


def machines_topology(root: Path = Path("/srv/techsapo"), **sections: Any) -> Topology:
    """The stack of ON_MACHINES with `sections` put in."""
    return topology_of(Spec.model_validate({**ON_MACHINES, **sections}), root, "swarm")


def machines_files(topology: Topology | None = None) -> dict[str, str]:
    """What is rendered for it, by path below swarm/ without `config/`."""
    where = topology or machines_topology()
    found = rendered(where.spec, where)
    return {p.removeprefix("swarm/").removeprefix("config/"): f.content for p, f in found.items()}


def machine_rules(**sections: Any) -> dict[str, dict[str, Any]]:
    """The rules of the alerts that are on several machines alone, by name, as ON_MACHINES has them."""
    spec = Spec.model_validate({**ON_MACHINES, **sections})
    return {name: alert_rule(spec, alert, ()) for name, alert in alerts().items() if alert.machines}

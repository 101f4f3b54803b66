"""A stack on three hosts, and the Docker clients of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stacks import spec, topology

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Runner
from techsapo_ops.stack.topology import Topology

HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}


def of(tmp_path: Path, **sections: Any) -> Topology:
    return topology(spec(engine="swarm", hosts=HOSTS, **{"mysql": {}, **sections}), tmp_path, "swarm")


def fleet(hosts: Runner, stack: Topology) -> Fleet:
    return Fleet(hosts, "docker", {m.name: m.docker for m in stack.machines})

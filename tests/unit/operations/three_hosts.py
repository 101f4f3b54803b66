"""A stack on three hosts, and the Docker clients of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stacks import spec, topology

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.stack.topology import Topology
from tests.fakes.swarm_hosts import HostsFake


def of(tmp_path: Path, by: str = "ssh://ops@{}", **sections: Any) -> Topology:
    hosts = {n: {"address": f"10.0.0.{i}", "docker": by.format(n)} for i, n in enumerate("abc", 1)}
    return topology(spec(engine="swarm", hosts=hosts, mysql={}, **sections), tmp_path, "swarm")


def fleet(hosts: HostsFake, stack: Topology) -> Fleet:
    return Fleet(hosts, "docker", {m.name: m.docker for m in stack.machines})

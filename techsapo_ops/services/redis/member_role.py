"""What a Redis of several is: the master, or whose replica."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.client import client_options, login_environment
from techsapo_ops.stack.role import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


def question(topology: Topology, service: Service) -> Command:
    """What asks it, in its container; https://redis.io/docs/latest/commands/info/ has the answer's form."""
    return client(topology, service, "INFO", "replication")


def client(topology: Topology, service: Service, *words: str) -> Command:
    """redis-cli with the operator's login, in the container of a Redis or a Sentinel."""
    options = (*client_options(topology, service), "--no-auth-warning")
    return Command(("redis-cli", *options, *words), login_environment(topology))


def told(topology: Topology, said: str) -> Role:
    """What its answer says. A master whom no replica follows takes no writes (min-replicas-to-write)."""
    found = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
    if found.get("role") == "master":
        count = found.get("connected_slaves", "?")
        return Role(msg("master of {count} replicas", count=count), wrong=count == "0", sole=True)
    if found.get("role") != "slave":
        return Role()
    master = found.get("master_host", "?")
    names = {machine.address: machine.name for machine in topology.machines}
    host = names.get(master, master)
    if found.get("master_link_status") == "up":
        return Role(msg("replica of {host}, in step", host=host), sole=False)
    return Role(msg("replica of {host}, without connection to it", host=host), wrong=True, sole=False)

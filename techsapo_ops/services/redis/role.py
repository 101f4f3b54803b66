"""What a Redis of several is: the master, or whose replica."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.client import login_environment, login_options
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


def question(topology: Topology, service: Service) -> Command:
    """What asks it, in its container; https://redis.io/docs/latest/commands/info/ has the answer's form."""
    return client(topology, service, "INFO", "replication")


def client(topology: Topology, service: Service, *words: str) -> Command:
    """redis-cli with the operator's login, in the container of a Redis or a Sentinel."""
    at = topology.address(service, Viewpoint.WITHIN)
    where = ("-h", at.host, "-p", str(at.port), *login_options(topology), "--no-auth-warning")
    return Command(("redis-cli", *where, *words), login_environment(topology))


def words(topology: Topology, said: str) -> str:
    """Its answer in words; "" for one that says nothing of it."""
    told = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
    if told.get("role") == "master":
        return msg("master of {count} replicas", count=told.get("connected_slaves", "?"))
    if told.get("role") != "slave":
        return ""
    master = told.get("master_host", "?")
    names = {machine.address: machine.name for machine in topology.machines}
    if told.get("master_link_status") == "up":
        return msg("replica of {host}, in step", host=names.get(master, master))
    return msg("replica of {host}, without connection to it", host=names.get(master, master))

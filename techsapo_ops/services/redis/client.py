"""How redis-cli gets to the stack's own Redis, or a throwaway one; the password goes by REDISCLI_AUTH."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command, Runner
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
        from techsapo_ops.services.redis.several import several

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

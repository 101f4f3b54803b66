"""The ways to a Redis for redis-cli; the password goes by REDISCLI_AUTH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.services.redis.client import client_options, login_environment
from techsapo_ops.stack.backup import Door

if TYPE_CHECKING:  # `techsapo backup --help` knows of Redis, and reads no spec
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack


def redis_door(stack: Stack) -> Door:
    """The way to the stack's Redis; of several to the master, where the Sentinels know one."""
    first, *others = stack.topology.of_kind("redis")
    if others:
        from techsapo_ops.services.redis.several import several

        return door_to(stack, several(stack.topology, lambda service: door_to(stack, service)).master)
    return door_to(stack, first)


def door_to(stack: Stack, service: Service) -> Door:
    """The way to one Redis, or one Sentinel."""
    return Door(
        stack.runner,
        lambda command: stack.engine.enter(service.name, command),
        client_options(stack.topology, service),
        login_environment(stack.topology),
    )


def scratch_door(scratch: Scratch, runner: Runner) -> Door:
    """The way to a throwaway Redis."""
    assert scratch.enter is not None  # noqa: S101 - every engine gives one
    at = ("-h", scratch.address.host, "-p", str(scratch.address.port))
    return Door(runner, scratch.enter, at, scratch_client(scratch).env)


def scratch_client(scratch: Scratch) -> Command:
    """The client of a throwaway Redis, for who is in its container."""
    password = scratch.password.reveal() if scratch.password is not None else ""
    return Command(("redis-cli",), {"REDISCLI_AUTH": password})

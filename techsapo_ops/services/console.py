"""How a person talks to a service: by the server's own client, logged in, or in a shell where it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command

if TYPE_CHECKING:
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack

SHELL = "sh"


@dataclass(frozen=True, slots=True)
class Call:
    """A program to start at somebody's terminal.

    `by_service` says that it is a process of this host with the rights of the service: it must not inherit
    what whoever starts it has in the environment.
    """

    command: Command
    by_service: bool = False


def entered(stack: Stack, service: Service, command: Command) -> Call:
    """The call that runs `command` where `service` runs, as its user."""
    access = stack.engine
    return Call(access.enter(service.name, command), by_service=not access.enters_as_root)


def logged_in(stack: Stack, service: Service, command: Command) -> Call:
    """The call of a client whose environment holds a password.

    Whoever may read the memory of its process reads that too: the service's own user as well, if it ran as
    that. So in a container it runs as root, and on this host as whoever called.
    """
    access = stack.engine
    if access.enters_as_root:
        return Call(access.enter(service.name, command, root=True))
    return Call(replace(command, cwd=stack.directory))

"""Run a program on a terminal, inside a service or logged in to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from techsapo_ops.adapters.own_terminal import attached_apart
from techsapo_ops.adapters.process import attached
from techsapo_ops.adapters.unreachable import HostsAway
from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

_HANDED_OVER = ("COLUMNS", "COLORTERM", "LANG", "LANGUAGE", "LINES", "PATH", "TERM", "TZ")
"""What of the caller's environment a process with a service's rights gets: nothing that could be a secret."""


def execute(stack: Stack, word: str, words: Sequence[str], *, terminal: bool, warn: Warn) -> int:
    """Run `words`, by default the service's own client, and return its exit code.

    `word` is a service or a kind, of which the first that runs is taken. `terminal` says whether a person
    sits there. Recorded are the service and the program, not its arguments, which may hold a secret. Raises
    OpsError for another user's stack, a service that there is not or that does not run, a login to one that
    keeps ending, and where it can't be recorded.
    """
    require_owner(stack)
    given = tuple(words)
    if given[:1] == ("--",):  # as kubectl has it: `exec redis -- sh`
        given = given[1:]
    if given[:1] == ("",):
        raise OpsError(
            msg("the name of the program to run is empty"),
            msg("omit the program to start the service's own client"),
            exit_code=2,
        )
    service, state = running_service(stack, word)
    runtime = runtime_of(service)
    argv = given or runtime.client
    call = runtime.call(stack, service, argv, terminal=terminal)
    if call.command.env and not state.runs:  # only a login is in it
        raise OpsError(
            msg(
                "not logged in: {name} keeps exiting, so another program on its port could receive the "
                "password",
                name=service.name,
            ),
            msg("`techsapo logs {name}` shows why", name=service.name),
        )
    what = {"service": service.name, "program": argv[0], "arguments": len(argv) - 1}
    with recorded(stack.layout, "exec", what, warn) as known:
        handed_over = _environment() if call.by_service else dict(os.environ)
        # A service's user must not reach root's own terminal, where what it puts in is root's command.
        run = attached_apart if call.by_service and os.geteuid() == 0 else attached
        code = run(call.command, handed_over)
        known["exit_code"] = code
    return code


def require_owner(stack: Stack) -> None:
    """Raise OpsError where the stack is another user's, whose services this one may not enter."""
    try:
        owner = stack.layout.state.stat().st_uid
    except FileNotFoundError:
        raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it")) from None
    except OSError as error:
        raise OpsError(
            msg("cannot access {state}: {strerror}", state=stack.layout.state, strerror=error.strerror),
            msg("run as the user who ran `up`"),
        ) from error
    if os.geteuid() not in {0, owner}:
        # The refusal names the user who may run this.
        refusal = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(stack.layout.state))
        raise OpsError(msg("only the owner of this stack can run commands in its services")) from refusal


def running_service(stack: Stack, word: str) -> tuple[Service, State]:
    """The service that `word` means, and how it is. Raises OpsError where none is meant, or none runs."""
    meant = [s for s in stack.topology.services if word in {s.name, s.kind}]
    if not meant:
        raise unknown(msg("service"), word, [s.name for s in stack.topology.services])
    observed = stack.engine.observe()
    for service in meant:
        seen = observed.services.get(service.name)
        if seen is not None and seen.state.running_or_restarting:
            return service, seen.state
    away = {each.machine.name for each in meant} & observed.unreachable.keys()
    if away:
        raise HostsAway({name: why for name, why in observed.unreachable.items() if name in away})
    name = meant[0].name
    if name in observed.stopped:
        raise OpsError(
            msg("{name} was {stopped}", name=name, stopped=observed.stopped[name]),
            msg("`techsapo start {name}` starts it", name=name),
        )
    raise OpsError(
        msg("{name} is not running", name=name),
        msg("`techsapo ps` shows what is running; `techsapo up` starts the rest"),
    )


def _environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name in _HANDED_OVER or name.startswith("LC_")
    }

"""Commands that ask, in a container, whether a service is ready."""

from __future__ import annotations

import time

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.runtimes import runtime_of
from techsapo_ops.stack.topology import Topology

_FETCH = (
    "import sys, urllib.request as r\n"
    "with r.urlopen(sys.argv[1], timeout=float(sys.argv[2])) as a: print('HTTP', a.status)"
)
_SHOWN = 300


def questions(topology: Topology) -> dict[str, Command]:
    """Commands that ask services with the login that the app has, by kind of service.

    The images' health checks have no password, and only see that something answers.
    """
    kinds = dict.fromkeys(service.kind for service in topology.services)
    asked = ((kind, runtime_of(kind).question(topology)) for kind in kinds)
    return {kind: command for kind, command in asked if command is not None}


def fetching(url: str, timeout: float) -> Command:
    """What asks `url` in a container with Python."""
    return Command(("python", "-c", _FETCH, url, str(timeout)))


def execute(docker: Docker, container: str, command: Command, timeout: float) -> ProbeResult:
    """Ask by a command in a container; it passes where that ends with 0. Raises nothing for what it finds."""
    started = time.monotonic()
    try:
        done = docker.execute(container, command, timeout=timeout)
    except OpsError as error:
        detail = (
            msg("did not answer within {timeout:g} s", timeout=timeout)
            if "did not end" in str(error)
            else str(error)
        )
        return ProbeResult(False, detail, time.monotonic() - started)
    said = done.output.splitlines()
    passes = done.code == 0
    silent = msg("its health check passes") if passes else msg("exit code {code}", code=done.code)
    shown = said[-1][:_SHOWN] if said else silent
    return ProbeResult(passes, shown, time.monotonic() - started)

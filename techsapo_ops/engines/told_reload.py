"""Tells a service to load its configuration again, and learns from itself whether it has.

A signal has no answer. Prometheus and Alertmanager tell in their metrics whether their last reload
succeeded, and when one did last.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError, LastReload
from techsapo_ops.engines.readback import has_refused
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.loaded_configuration import Loaded, server_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_WITHIN = 30.0
"""Seconds until a reload has to be over."""
_STILL_REFUSED = 3.0
"""Seconds after which a server whose reload before had failed too is taken at its word."""
_PAUSE = 0.05


def reload_told(topology: Topology, service: Service, tell: Callable[[], None]) -> None:
    """Let `tell` make `service` load its configuration again, and return once it has.

    At once for a kind that does not tell. Raises OpsError where it refuses its
    configuration, or does not say.
    """
    loaded = runtime_of(service.kind).loaded
    before = None if loaded is None else _last(loaded, topology, service)
    tell()
    if loaded is not None and before is not None:
        wait_reloaded(service.name, before, lambda: _last(loaded, topology, service))


def wait_reloaded(
    name: str,
    before: LastReload,
    ask: Callable[[], LastReload | None],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the server `name`, which told `before`, tells by `ask` that it has reloaded.

    Raises as `reload_told` does.
    """
    started = clock()
    while True:
        pause(_PAUSE)
        last, passed = ask(), clock() - started
        if last is not None and last.successful and last.at > before.at:
            return
        if has_refused(last) and (before.successful or passed > _STILL_REFUSED):
            raise OpsError(
                msg("{name} refuses its configuration, and runs on with what it had", name=name),
                msg("`techsapo logs {name} -n 20` tells why", name=name),
            )
        if passed > _WITHIN:
            raise OpsError(
                msg("{name} has not reloaded within {within:g} s", name=name, within=_WITHIN),
                f"`techsapo logs {name}`",
            )


def _last(loaded: Loaded, topology: Topology, service: Service) -> LastReload | None:
    try:
        return loaded.last_reload(server_of(topology, service))
    except (Unreachable, ApiError) as error:
        raise OpsError(
            msg(
                "{service} can't be asked whether it reloads: {message}",
                service=service.name,
                message=error.message,
            ),
            error.hint,
        ) from None

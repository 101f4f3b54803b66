"""Proof that a configuration was applied: what the services say that they run, not what lies on the disk.

Also of a reload: the service is told, and says itself whether it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError, LastReload
from techsapo_ops.adapters.questions import each_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.loaded_configuration import Loaded, server_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.desired import Desired, RenderedFile
from techsapo_ops.stack.engine import Mismatch
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_REFUSED_AFTER = 1.0
"""Seconds after which a server's word that its last reload failed is taken to mean this one."""
_PAUSE = 0.05
_WITHIN = 30.0
"""Seconds until a reload has to be over."""
_STILL_REFUSED = 3.0
"""Seconds after which a server whose reload before had failed too is taken at its word."""


def with_loaded(
    mismatches: Sequence[Mismatch], desired: Desired, services: Sequence[str], wait: float
) -> tuple[Mismatch, ...]:
    """`mismatches` of processes or containers, and what the other `services` say they have loaded.

    In the order of `services`, at most one each. A reload is given `wait` seconds to show. What this host
    does not reach is not asked: such a service is restarted there, never reloaded.
    """
    by_engine = {m.service: m for m in mismatches}
    asked = [
        (service, loaded)
        for service in desired.topology.services
        if service.name in services
        and service.name not in by_engine
        and desired.topology.published(service)
        and (loaded := runtime_of(service.kind).loaded) is not None
    ]
    files = {file.path: file for file in desired.files}
    answers = each_of({s.name: partial(_settled, desired, files, s, loaded, wait) for s, loaded in asked})
    by_service = {name: mismatch for name, mismatch in answers.items() if mismatch is not None}
    merged = {**by_service, **by_engine}
    return tuple(merged[name] for name in services if name in merged)


def _settled(
    desired: Desired, files: Mapping[str, RenderedFile], service: Service, kind: Loaded, wait: float
) -> Mismatch | None:
    server = server_of(desired.topology, service)
    prefix = desired.topology.places.rendered
    wait = wait if kind.patience is None else min(wait, kind.patience)
    started = time.monotonic()
    while True:
        answered = True
        try:
            what = kind.differs(server, prefix, files)
            if not what:
                return None
            passed = time.monotonic() - started
            if passed > min(_REFUSED_AFTER, wait) and has_refused(kind.last_reload(server)):
                return Mismatch(
                    service.name,
                    msg("the service refused to reload and runs the old configuration: {what}", what=what),
                )
        except (Unreachable, ApiError) as error:
            what, answered = (
                msg("the running configuration can't be read back: {message}", message=error.message),
                False,
            )
        if time.monotonic() - started >= wait:
            said = (
                msg("the service runs a different configuration from the one applied: {what}", what=what)
                if answered
                else what
            )
            return Mismatch(service.name, said, answered=answered)
        time.sleep(_PAUSE)


def has_refused(last: LastReload | None) -> bool:
    """Whether a server says that its last reload failed."""
    return last is not None and not last.successful


def reload_and_confirm(topology: Topology, service: Service, tell: Callable[[], None]) -> None:
    """Let `tell` make `service` load its configuration again, and return once it has.

    A signal has no answer. Prometheus and Alertmanager tell in their metrics whether their last reload
    succeeded, and when one did last.

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

    Raises as `reload_and_confirm` does.
    """
    started = clock()
    while True:
        pause(_PAUSE)
        last, passed = ask(), clock() - started
        if last is not None and last.successful and last.at > before.at:
            return
        if has_refused(last) and (before.successful or passed > _STILL_REFUSED):
            raise OpsError(
                msg("{name} refuses its new configuration and keeps the previous one", name=name),
                msg("`techsapo logs {name} -n 20` shows why", name=name),
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
                "can't tell whether {service} reloads: {message}",
                service=service.name,
                message=error.message,
            ),
            error.hint,
        ) from None

"""Whether the app can start, and who has the ports of a plan: seen before anything that runs is touched."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from techsapo_ops.apply.history import History, under_way
from techsapo_ops.apply.plan import StackPlan
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.app.rendered_spec import calibration_file, keys_file
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.front_door import resolved_auth
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.step import Action
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.wallbounce.start import StartProblem


KIND = App.facts.kind


def app_start_problems(
    spec: Spec, layout: Layout, disabled: Mapping[str, str], *, of: Topology | None = None
) -> tuple[StartProblem, ...]:
    """Why the app would not start as `spec` has it, with the keys and files that are here now.

    `disabled` are the providers that the loader left out. With `of`, its instances there are looked at too:
    whether each can have its folder and its address, where it would run as the user who asks.
    """
    from techsapo_ops.wallbounce.start import place_problems, start_problems

    auth, keys = resolved_auth(spec, layout.environment), keys_file(spec, layout)
    here = [] if of is None else [s for s in of.of_kind(KIND) if s.user is None and not of.places.isolated]
    if of is not None and of.places.isolated and keys.exists() and not os.access(keys, os.R_OK):
        auth = auth.model_copy(update={"refuse_without_keys": False})  # its own user may read them
    named = spec.wallbounce.calibration
    weights = calibration_file(named, layout) if named is not None else None
    auth = auth.model_copy(update={"keys_file": str(keys)})
    problems = start_problems(spec, auth, disabled, weights)
    if of is None:
        return problems
    folders, addresses = [of.data_dir(service) for service in here], [of.listens(service) for service in here]
    return (*problems, *place_problems(folders, addresses), *(() if of.machines else _elsewhere(of)))


def _elsewhere(topology: Topology) -> Iterator[StartProblem]:
    """The servers that are to listen at an address of another host, as an external one would."""
    from techsapo_ops.adapters.held import bind_error
    from techsapo_ops.wallbounce.start import StartProblem

    for service in topology.services:
        error = bind_error(listen_host(service.host), 0) if service.kind != KIND else None
        if error is not None and error.errno == errno.EADDRNOTAVAIL:
            setting = kind_of(service).setting_of(service).rpartition(".")[0] + ".host"
            yield StartProblem(
                setting,
                msg(
                    "{host} is not an address of this host, and an external {title} is not supported",
                    host=service.host,
                    title=service.facts.title,
                ),
                msg("remove {setting}: the stack then runs this service itself", setting=setting),
            )


def plan_start_problems(plan: StackPlan, disabled: Mapping[str, str]) -> tuple[StartProblem, ...]:
    """Why the app would not start once `plan` has stopped it; nothing where it leaves the app alone."""
    topology = plan.desired.topology
    apps = {service.name for service in topology.of_kind(KIND)}
    if not any(step.service in apps and step.action is not Action.REMOVE for step in plan.steps.changes):
        return ()
    return app_start_problems(plan.wanted.spec, topology.layout, disabled, of=topology)


def require_app_starts(plan: StackPlan, disabled: Mapping[str, str]) -> None:
    """Raise OpsError where `plan` would stop an app that then can't start; nothing was changed then."""
    _require(plan_start_problems(plan, disabled))


def require_app_restarts(history: History, names: Collection[str]) -> None:
    """Raise OpsError where one of the services `names` (all when empty) is an app that can't start again.

    By what was applied last, whatever the spec says now; nothing was changed then.
    """
    current = history.ledger.current()
    topology = history.snapshot(current).desired.topology if current is not None else None
    if topology is None:
        return
    if names and not any(s.name in names or s.kind in names for s in topology.of_kind(KIND)):
        return
    _require(app_start_problems(topology.spec, topology.layout, {}, of=topology))


def _require(problems: Sequence[StartProblem]) -> None:
    if problems:
        from techsapo_ops.wallbounce.start import require_start

        require_start(problems, what=msg("nothing was changed, because the app could not start"))


def taken_ports(plan: StackPlan, history: History, running: Running) -> Iterator[str]:
    """A sentence for each service that a plan starts on a port that another process has.

    Only of a stack that runs as it was applied, and goes back where a start fails: a first `up` starts what
    it can. A port that a service has now is not looked at, since the plan may free it.
    """
    if not plan.running or plan.leaves is not None or not plan.steps.changes:
        return
    before = _applied(history)
    if before is None:
        return
    ours = {service.port for service in before.services if before.published(service)}
    topology = plan.desired.topology
    for step in plan.steps.changes:
        service = topology.find(step.service)
        if service is None or step.action is Action.REMOVE or service.port in ours:
            continue
        if topology.published(service) and (
            holder := running.taken_by(listen_host(service.host), service.port)
        ):
            yield msg(
                "{service} can't use port {port}: {holder} is listening on it",
                service=service.name,
                port=service.port,
                holder=holder,
            )


def _applied(history: History) -> Topology | None:
    """What runs, by the ledger; None where an apply failed or was killed, so that nobody knows."""
    try:
        last = history.ledger.entries()[-1:]
        current = history.ledger.current()
        if current is None or last[0].result == "failed" or under_way(history.layout) is not None:
            return None
        return history.snapshot(current).desired.topology
    except OpsError:  # `up` repairs it
        return None


def require_free(plan: StackPlan, history: History, running: Running) -> None:
    """Raise OpsError where another process has a port that `plan` wants; nothing was changed then."""
    if taken := list(taken_ports(plan, history, running)):
        raise OpsError(
            joined("\n", taken),
            msg("nothing was changed: stop that process, or give the service another port in the spec"),
        )

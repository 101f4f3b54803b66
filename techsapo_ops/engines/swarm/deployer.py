"""Hands services to Swarm: those of one step, and from nothing all that can start beside it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.deployment import Deployment
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.engines.swarm.shared_state import check
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.step import Action, Step

_SECONDS = 120.0


class Deployer:
    """Changes services of `stack`, while this process is the one at work. Every method may raise OpsError."""

    def __init__(self, stack: SwarmStack) -> None:
        self._stack = stack
        self._deploying = threading.Lock()
        self._deployed: set[str] = set()
        self.ready: set[str] = set()
        """Services that are known to be ready, so that what needs them may start."""

    def deploy(self, step: Step, together: Sequence[Step], desired: Desired, deployment: Deployment) -> None:
        """Deploy the service of `step`, and with it all of `together` that can be started now beside it."""
        with self._deploying:
            if step.service in self._deployed:
                return
            names = {each.service for each in together if each.action is Action.CREATE} - self._deployed
            services = {s.name: s for s in desired.topology.services}
            pending = {each.service for each in together} - self.ready
            free = {name for name in names if not pending.intersection(services[name].needs)}
            wanted = sorted({step.service, *free})
            done = self._hand_over(deployment, wanted)
            if done.code != 0 and len(wanted) > 1:  # of several it does not say which one
                wanted = [step.service]
                done = self._hand_over(deployment, wanted)
            if done.code != 0:
                said = self._stack.fleet.manager.words(done)
                raise OpsError(msg("Swarm refuses {service}: {said}", service=step.service, said=said))
            self._deployed.update(wanted)

    def again(self, name: str, *options: str) -> None:
        """Let Swarm start a service anew as it is, with `options` of `docker service update`."""
        check(self._stack.layout.state)
        full = f"{self._stack.project}_{name}"
        self._stack.fleet.manager.call(
            "service", "update", "--force", "--detach", "--quiet", *options, full, timeout=_SECONDS
        )

    def remove(self, name: str) -> None:
        """Remove a service; one that is gone already is none to remove."""
        check(self._stack.layout.state)
        done = self._stack.fleet.manager.attempt("service", "rm", f"{self._stack.project}_{name}")
        if done.code != 0 and "not found" not in done.output:
            raise OpsError(
                msg("cannot remove {name}: {output}", name=name, output=self._stack.fleet.manager.words(done))
            )

    def _hand_over(self, deployment: Deployment, services: Collection[str]) -> Completed:
        check(self._stack.layout.state)
        options = ("--resolve-image", "never", "--detach=true", "--compose-file", "-")
        argv = self._stack.fleet.manager.streaming("stack", "deploy", *options, self._stack.project).argv
        call = Command(argv, stdin=deployment.stack(services).encode())
        return self._stack.fleet.runner.run(call, timeout=_SECONDS)

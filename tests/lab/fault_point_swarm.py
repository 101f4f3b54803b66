"""Points of an apply on several machines at which fault_point.py kills it.

`loading` (while an image is copied to the other machines), `configs` (the configs and secrets of the next
services are made, and no service has them yet), `changed:NAME` (that service is changed and ready, others are
not), `going` (while `down` waits for the services to end).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection
from typing import Any

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Completed
from techsapo_ops.engines.swarm import images
from techsapo_ops.engines.swarm.deployment import Deployer, Deployment
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.stack.step import Step

_LOADING = 0.5
"""Seconds for which an image is copied."""


class _WithoutServices:
    """A deployment of which Swarm gets the configs and secrets alone."""

    def __init__(self, whole: Deployment) -> None:
        self._whole = whole

    def stack(self, services: Collection[str]) -> str:
        data = json.loads(self._whole.stack(services))
        return json.dumps({**data, "services": {}})


def arm(point: str, die: Callable[[], None]) -> None:
    """Make this process die at `point`."""
    word, _, name = point.partition(":")
    if word == "loading":
        copy = images._copy

        def copying(fleet: Fleet, source: str, image: str, target: str) -> None:
            threading.Timer(_LOADING, die).start()
            copy(fleet, source, image, target)
            die()

        images._copy = copying  # the fault that is wanted
    elif word == "configs":
        hand_over = Deployer._hand_over

        def handing(self: Deployer, deployment: Any, services: Collection[str]) -> Completed:
            made = hand_over(self, _WithoutServices(deployment), services)  # type: ignore[arg-type] # as it is asked
            assert made.code == 0, made.output
            die()
            return made

        Deployer._hand_over = handing  # type: ignore[method-assign] # the fault that is wanted
    elif word == "changed":
        perform = SwarmEngine.perform

        def performing(self: SwarmEngine, step: Step, *arguments: Any, **named: Any) -> None:
            perform(self, step, *arguments, **named)
            if step.service == name:
                die()

        SwarmEngine.perform = performing  # type: ignore[method-assign] # the fault that is wanted
    else:
        SwarmStack._wait_gone = lambda _: die()  # type: ignore[method-assign] # the fault that is wanted

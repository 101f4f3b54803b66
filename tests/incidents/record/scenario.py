"""The table of scenarios: what runs, what is done to it, which alert it leads to, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from techsapo_ops.incidents.material import Kind
from tests.incidents.record.world import World

Step = Callable[[World], object]
Outcome = Literal["fault", "false_alarm", "unsolvable"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One recording. The answer was written before any evidence was ranked.

    `services` run besides shop and auth; `limits` are arguments of `servers.service`. `prepare` is done before the
    window, `fault` in it, `then` once the alert fires. `unread` names sources that nobody could read, with the reason:
    "log of NAME", "metrics of NAME" or "changes of kind KIND".
    """

    name: str
    alert: str
    cause: str
    chain: tuple[str, ...]
    decisive: tuple[tuple[Kind, tuple[str, ...]], ...]
    distractors: tuple[str, ...]
    fault: Step
    service: str = ""
    outcome: Outcome = "fault"
    services: tuple[str, ...] = ("stock", "payments", "reviews", "mailer")
    disks: tuple[tuple[Any, ...], ...] = ()
    redis: tuple[str, ...] = ()
    nginx: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=lambda: {"http://shop.example/healthz": "http"})
    rate: float = 0.8
    https: bool = False
    prepare: Step | None = None
    then: Step | None = None
    unread: Mapping[str, str] = field(default_factory=dict)


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, **values: Any) -> Callable[[Step], Step]:
    """Enter the decorated step into the table as the fault of a scenario."""

    def enter(fault: Step) -> Step:
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name=name, fault=fault, **values)
        return fault

    return enter

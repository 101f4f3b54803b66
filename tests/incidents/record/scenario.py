"""The table of scenarios, scenarios.yaml: what runs, what is done to it, the alert and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from techsapo_ops.incidents.bundle import Answer, Decisive
from techsapo_ops.incidents.material import Kind
from tests.incidents.record.actions import Step


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One recording.

    `runs` are the services besides shop and auth, with arguments of `servers.service` in `limits`; `disks`
    are file systems of their own, each with its megabytes and options of mkfs; `redis` are lines of its
    configuration. `before` is done before the window, `fault` in it. `unread` names sources that nobody could
    read, with the reason: "log of NAME", "metrics of NAME" or "changes of kind KIND"; `absent` is what they
    would have said.
    """

    name: str
    alert: str
    service: str
    cause: str
    chain: Sequence[str]
    decisive: Sequence[Mapping[Kind, Sequence[str]]]
    distractors: Sequence[str]
    fault: Sequence[Step]
    before: Sequence[Step] = ()
    outcome: Literal["fault", "false_alarm", "unsolvable"] = "fault"
    runs: Sequence[str] = ("stock", "payments", "reviews", "mailer")
    disks: Mapping[str, str] = field(default_factory=dict)
    redis: Sequence[str] = ('save ""',)
    worker_connections: int = 512
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=lambda: {"http://shop.example/healthz": "http"})
    rate: float = 0.8
    https: bool = False
    unread: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()

    def answer(self) -> Answer:
        decisive = [Decisive(kind, tuple(texts)) for each in self.decisive for kind, texts in each.items()]
        texts = (self.outcome, self.cause, self.service, tuple(self.chain))
        return Answer(*texts, tuple(decisive), tuple(self.distractors))


_ROWS = yaml.safe_load((Path(__file__).parent / "scenarios.yaml").read_text())
SCENARIOS: Mapping[str, Scenario] = {row["name"]: Scenario(**row) for row in _ROWS}

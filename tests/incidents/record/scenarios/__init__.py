"""All scenarios, by what they break."""

from __future__ import annotations

from tests.incidents.record.scenario import SCENARIOS
from tests.incidents.record.scenarios import calls, disks, false_alarms, front, releases, stores, unsolvable

__all__ = ["SCENARIOS", "calls", "disks", "false_alarms", "front", "releases", "stores", "unsolvable"]

"""What several machines found of the same target, as one row of the report."""

from __future__ import annotations

from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus, Sample
from techsapo_ops.services.blackbox.found import probe_parts
from techsapo_ops.stack.health import PartStatus


class Told(Prometheus):
    """Has these results: name, the machine that asked, whether it was well, and the status."""

    def __init__(self, *results: tuple[str, str, bool, int]) -> None:
        self.results = results

    def query(self, *_: Any) -> tuple[Sample, ...]:
        return tuple(
            Sample({"__name__": metric, "name": name, "scope": "machine", "from": asker}, value, 0.0)
            for name, asker, well, status in self.results
            for metric, value in (("probe_success", float(well)), ("probe_http_status_code", float(status)))
        )


def test_a_target_is_down_where_one_machine_does_not_reach_it_which_is_named() -> None:
    told = Told(("nginx-b", "a", True, 200), ("nginx-b", "c", False, 0), ("redis-b", "a", True, 0))
    found = {part.name: (part.status, part.detail) for part in probe_parts(told, {})}
    assert found == {
        "probe nginx-b": (PartStatus.DOWN, "from c: no answer"),
        "probe redis-b": (PartStatus.HEALTHY, "connected"),
    }

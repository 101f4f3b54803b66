"""The applies of a stretch of time, from the series that `techsapo up` leaves for node exporter.

The ledger itself is the host's, readable by its owner alone: rendered secrets are among its contents.
"""

from __future__ import annotations

import math
import time

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.serve.bodies.monitoring import ApplyBody

SERIES = "techsapo_apply_timestamp_seconds"
MOST = 50
"""Applies that are told of, the newest: more marks hide the lines."""


def read_applies(prometheus: Prometheus, begin: float, end: float) -> list[ApplyBody]:
    """The applies that ended from `begin` to `end`, oldest first. Raises as Prometheus.query does."""
    back = math.ceil(max(time.time() - begin, 1)) + 1
    found = {
        int(sample.labels["number"]): ApplyBody(
            number=int(sample.labels["number"]),
            time=sample.value,
            **{key: sample.labels.get(key, "") for key in ("user", "command", "result")},
        )
        for sample in prometheus.query(f"last_over_time({SERIES}[{back}s])")
        if sample.labels.get("number", "").isdecimal() and begin <= sample.value <= end
    }
    return [found[number] for number in sorted(found)][-MOST:]

"""A week, as Prometheus and the audit log tell the weekly report of it: its days end with 2026-11-29."""

from __future__ import annotations

from datetime import datetime

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Prometheus, Sample, Series
from techsapo_ops.stores.audit.rows import Call, Request, Rows


class Away(Prometheus):
    """Nobody answers."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")

    def query(self, expression: str) -> tuple[Sample, ...]:
        raise Unreachable(self.url, "connection refused")

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        raise Unreachable(self.url, "connection refused")


class Full(Away):
    """A week of data, with `name` wherever somebody else chooses one."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def query(self, expression: str) -> tuple[Sample, ...]:
        if "budget_refusals" in expression:
            return (Sample({"code": "budget_exhausted"}, 2.99, 0), Sample({"code": "budget_reserved"}, 0, 0))
        if "rate_limit" in expression:
            return tuple(Sample({"plan": f"{self.name}{n}"}, 12, 0) for n in range(9))
        if "acknowledged" in expression:
            return ()
        if "count_over_time(max by (alertname)" in expression:
            return (Sample({"alertname": self.name}, 36, 0), Sample({"alertname": "Other"}, 4, 0))
        if "ALERTS" in expression:
            return ()
        return tuple(Sample({"job": f"{self.name}{n}"}, 40, 0) for n in range(9))

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        assert (end - start) / step < 11_000
        if "acknowledged" in expression:
            # The last of each ends with the alert; `early` gave it back, `late` came after it was over.
            held = {f"{self.name}{n}": (4, 5) for n in range(9)} | {"early": (3, 4), "late": (91,)}
            return tuple(
                Series({"alert": self.name, "by": by}, {start + n * step: 1.0 for n in looks})
                for by, looks in held.items()
            )
        if "ALERTS" not in expression:
            return (Series({}, {start + n * step: 1.0 for n in range(1000)}),)
        twice = {start + n * step: 1.0 for n in (3, 4, 5, 90)}
        return (Series({"alertname": self.name}, twice), Series({"alertname": "Other"}, {start: 1.0}))


def rows(name: str) -> Rows:
    asked = (
        Request("2026-11-29", 6.0, "miss", (name,), 0.9, 0.7, True, False),
        Request("2026-11-23", 1.0, "miss", (name,), 0.2, 0.7, False, True),
        Request("2026-11-30", 99.0, "miss", (name,), 0.9, 0.7, True, False),
        Request("2026-11-20", 5.0, "miss", (name,), 0.9, 0.7, True, False),
    )
    calls = [Call(name, "m", r.day, 1, 0, 10, 10, r.cost_usd) for r in asked]
    return Rows(asked, (*calls, *(Call(f"{name}{n}", "m", "2026-11-24", 1, 0, 1, 1, 0.1) for n in range(9))))


class Unused(Away):
    """A Prometheus that looks since `begun`, at a stack that nobody used; None: it never looked."""

    def __init__(self, begun: datetime | None) -> None:
        super().__init__()
        self.begun = begun

    def query(self, expression: str) -> tuple[Sample, ...]:
        return ()

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        if "ALERTS" in expression or self.begun is None:
            return ()
        looks = (start + n * step for n in range(int((end - start) / step) + 1))
        return (Series({}, {at: 1.0 for at in looks if at >= self.begun.timestamp()}),)

"""What `techsapo health` says of probes, by one machine or by several."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.prometheus import Prometheus, Rule, Sample, Target
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.cli.views.health import summary
from techsapo_ops.health.report import HealthReport
from techsapo_ops.services.prometheus.health import probe_parts, target_parts
from techsapo_ops.stack.health import PartStatus


def test_probes_of_one_name_and_two_scopes_are_a_row_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def series(scope: str, metric: str, value: float) -> Sample:
        labels = {"__name__": f"probe_{metric}", "name": "nginx", "scope": scope, "job": "techsapo-probes"}
        return Sample(labels, value, 0.0)

    found = (
        series("front", "success", 0), series("front", "http_status_code", 502),
        series("target", "success", 1), series("target", "http_status_code", 200),
    )  # fmt: skip
    monkeypatch.setattr(Prometheus, "query", lambda *_: found)
    parts = list(probe_parts(Prometheus("http://127.0.0.1:1"), {}))
    assert [(p.name, p.status, p.detail) for p in parts] == [
        ("probe nginx", PartStatus.DOWN, "HTTP 502, not as expected"),
        ("probe nginx", PartStatus.HEALTHY, "HTTP 200"),
    ]


def test_what_a_probe_found_before_prometheus_was_started_anew_is_no_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`status` right after `down` and `up` called the stack degraded, by a sample of while it was down."""
    labels = {"__name__": "probe_success", "scope": "front", "job": "techsapo-probes"}
    found = tuple(Sample({**labels, "name": name}, 0, 0.0) for name in ("nginx", "other"))
    monkeypatch.setattr(Prometheus, "query", lambda *_: found)
    parts = list(probe_parts(Prometheus("http://127.0.0.1:1"), {}, {"nginx"}))
    assert [(p.name, p.status, p.detail) for p in parts] == [
        ("probe nginx", PartStatus.STARTING, "not probed yet"),
        ("probe other", PartStatus.DOWN, "no answer"),
    ]


@each_row(
    "url, said",
    [("http://db.example:8080", "no answer"), ("https://db.example", "no answer, or no valid certificate")],
)
def test_a_certificate_is_spoken_of_where_there_has_to_be_one(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"__name__": "probe_success", "name": "db", "scope": "target", "job": "techsapo-probes"}
    monkeypatch.setattr(Prometheus, "query", lambda *_: (Sample(labels, 0, 0.0),))
    (part,) = probe_parts(Prometheus("http://127.0.0.1:1"), {("db", "target"): url})
    assert part.detail == said


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


class JustStarted(Prometheus):
    """Has taken up no target yet, so long after its start."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def targets(self) -> tuple[Target, ...]:
        return ()

    def query(self, *_: Any) -> tuple[Sample, ...]:
        return ()

    def rules(self) -> dict[str, tuple[Rule, ...]]:
        return {"all": tuple(Rule(name, "", 0, {}, {}) for name in alerts())}

    def started(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.seconds)


@each_row("seconds, status", [(2, PartStatus.STARTING), (600, PartStatus.DEGRADED)])
def test_a_prometheus_without_targets_is_not_called_well(
    tmp_path: Path, seconds: float, status: PartStatus
) -> None:
    asked = JustStarted(seconds)
    (part,) = target_parts(topology(spec(), tmp_path), lambda: asked)
    assert (part.name, part.status) == ("targets", status)
    line = summary(HealthReport((part,), 0.01))
    assert ("1 not known yet" in line) == (status is PartStatus.STARTING)

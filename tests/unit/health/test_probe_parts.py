"""What `techsapo health` says of probes, by one machine or by several."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.prometheus import Prometheus, Sample
from techsapo_ops.services.prometheus.health import probe_parts
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

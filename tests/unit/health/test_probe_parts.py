"""What `techsapo health` says of probes."""

from __future__ import annotations

import pytest
from rows import each_row

from techsapo_ops.adapters.prometheus import Prometheus, Sample
from techsapo_ops.services.blackbox.found import probe_parts
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

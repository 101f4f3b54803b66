"""An alert and what is near it, as a real Prometheus has it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import servers

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.incidents.readers.prometheus import MOST_POINTS, MOST_SERIES, PrometheusSeries
from techsapo_ops.incidents.subject import Known, alert_subject, firing

pytestmark = pytest.mark.lab

RULES = """
groups:
  - name: shop
    rules:
      - alert: ShopSlow
        expr: max by (job, instance) (shop_seconds) > 5
        for: 0s
        labels: {severity: warning}
        annotations: {summary: "The \x5cx1bshop takes {{ $value }} s"}
      - alert: ShopDown
        expr: up{job="shop"} == 0
        labels: {severity: critical, page: "true"}
"""
KNOWN = Known((), (), {"shop": {"job": "shop"}})
MINUTE = 60


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Three hours of a shop that was slow from 100 to 70 minutes ago, and has many other metrics."""
    folder, now = tmp_path_factory.mktemp("prometheus"), int(time.time())
    times = range(now - 180 * MINUTE, now, MINUTE)
    slow = (now - 100 * MINUTE, now - 70 * MINUTE)

    def values(name: str, labels: str, value: str = "1") -> list[str]:
        return [f"{name}{{{labels}}} {value} {at}" for at in times]

    shop = 'job="shop",instance="shop:80"'
    lines = ["# TYPE shop_seconds gauge"]
    lines += [f"shop_seconds{{{shop}}} {9 if slow[0] <= at < slow[1] else 1} {at}" for at in times]
    lines += ["# TYPE shop_queue gauge", *values("shop_queue", shop)]
    lines += ["# TYPE shop_users gauge"]
    for user in range(60):
        lines += values("shop_users", f'{shop},user="{user}"')
    lines += ["# TYPE go_goroutines gauge", *values("go_goroutines", shop)]
    lines += ["# TYPE ALERTS gauge"]
    labels = 'alertname="ShopSlow",severity="warning",job="shop",instance="shop:80"'
    for state, begin, end in (
        ("pending", slow[0], slow[0] + 5 * MINUTE),
        ("firing", slow[0] + 5 * MINUTE, slow[1]),
    ):
        lines += [f'ALERTS{{{labels},alertstate="{state}"}} 1 {at}' for at in times if begin <= at < end]
    lines += ["# TYPE node_load1 gauge", *values("node_load1", 'job="node",instance="a:9100"')]
    (folder / "metrics.om").write_text("\n".join([*lines, "# EOF", ""]))
    subprocess.run(
        [servers.binary("promtool"), "tsdb", "create-blocks-from", "openmetrics",
         folder / "metrics.om", folder / "tsdb"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "rules.yml").write_text(RULES)
    port = servers.free_port()
    config = (
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs:\n"
        f"  - {{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{servers.free_port()}']}}]}}\n"
    )
    with servers.prometheus(config, folder, port=port) as server:
        yield Prometheus(server.url)


def test_an_alert_that_fires_is_the_subject_with_its_expression_and_service(prometheus: Prometheus) -> None:
    servers.wait_for(lambda: bool(firing(prometheus)), what="ShopDown fires")
    assert [each.labels["alertname"] for each in firing(prometheus)] == ["ShopDown"]
    subject = alert_subject(prometheus, "ShopDown", KNOWN, datetime.now(UTC))
    assert subject is not None
    assert subject.expression == 'up{job="shop"} == 0'
    assert subject.services == {"shop"}
    assert subject.ended is None


def test_one_that_fired_lately_has_its_beginning_and_end_and_none_that_did_not(
    prometheus: Prometheus,
) -> None:
    now = datetime.now(UTC)
    subject = alert_subject(prometheus, "ShopSlow", KNOWN, now)
    assert subject is not None
    assert subject.ended is not None
    assert abs(now - timedelta(minutes=100) - subject.began) < timedelta(minutes=3)
    assert abs(now - timedelta(minutes=70) - subject.ended) < timedelta(minutes=8)
    assert alert_subject(prometheus, "ShopGone", KNOWN, now) is None
    assert alert_subject(prometheus, 'Shop"}Slow', KNOWN, now) is None


def test_raw_series_of_the_expression_come_first_and_metrics_with_too_many_are_left_out(
    prometheus: Prometheus,
) -> None:
    now = datetime.now(UTC)
    subject = alert_subject(prometheus, "ShopSlow", KNOWN, now)
    assert subject is not None
    start, end = subject.began - timedelta(minutes=30), subject.began + timedelta(minutes=30)
    series = PrometheusSeries(prometheus, KNOWN.watched)(subject, start, end).series
    names = [each.labels["__name__"] for each in series]
    assert names[0] == "shop_seconds"
    assert {"ALERTS", "shop_queue", "node_load1"} <= set(names)
    assert not {"shop_users", "go_goroutines"} & set(names)
    assert set(series[0].values.values()) == {1.0, 9.0}
    assert max(len(each.values) for each in series) <= MOST_POINTS
    assert len(series) <= MOST_SERIES


def test_a_metric_of_the_expression_with_many_series_is_narrowed_to_those_of_the_alert(
    prometheus: Prometheus,
) -> None:
    now = datetime.now(UTC)
    slow = alert_subject(prometheus, "ShopSlow", KNOWN, now)
    assert slow is not None
    subject = replace(slow, expression="shop_users > 0", labels={**slow.labels, "user": '7"} or up'})
    start, end = subject.began - timedelta(minutes=30), subject.began + timedelta(minutes=30)
    series = PrometheusSeries(prometheus)(subject, start, end).series
    assert not [each for each in series if each.labels["__name__"] == "shop_users"]
    subject = replace(subject, labels={"user": "7"})
    series = PrometheusSeries(prometheus)(subject, start, end).series
    assert [each.labels["user"] for each in series if each.labels["__name__"] == "shop_users"] == ["7"]


def test_without_an_answer_the_reason_is_raised(tmp_path: Path) -> None:
    away = Prometheus(f"http://127.0.0.1:{servers.free_port()}")
    now = datetime.now(UTC)
    with pytest.raises(Unreachable):
        alert_subject(away, "ShopSlow", KNOWN, now)

"""Rule files of the user's own, `monitoring.rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.notified import notified
from monitoring_stack import monitoring_files, spec_of

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError

OWN = """groups:
  - name: shop
    rules:
      - {record: "shop:up", expr: up}
      - {alert: ShopEmpty, expr: shop_orders == 0, labels: {severity: warning, page: "true"}}
      - {alert: ShopSlow, expr: shop_seconds > 1, labels: {severity: warning}}
"""
HOOK = [{"kind": "webhook", "url": "https://a"}]


def files(folder: Path, patterns: list[str]) -> dict[str, Any]:
    spec = spec_of(
        monitoring={"rules": patterns},
        notifications=notified({"next": [{"after": "15m", "receivers": HOOK}]}),
    )
    return monitoring_files(spec, folder / ".techsapo")


def test_prometheus_reads_each_file_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "shop.yml").write_text(OWN)
    made = files(tmp_path, ["rules/*.yml"])
    assert made["prometheus/rules/own/shop.yml"].content == OWN
    assert "rules/own/shop.yml" in read_yaml(made["prometheus/prometheus.yml"].content)["rule_files"]


def test_what_pages_is_sent_on_to_the_next_receivers_and_nothing_else_of_it(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(OWN)
    groups = read_yaml(files(tmp_path, ["shop.yml"])["prometheus/rules/alerts.yml"].content)["groups"]
    (sent_on,) = [group["rules"] for group in groups if group["name"] == "techsapo-next-0"]
    names = {rule["alert"] for rule in sent_on}
    assert "ShopEmpty" in names
    assert "ShopSlow" not in names


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"monitoring\.rules\.0: no file is called rules/\*\.yml"):
        files(tmp_path, ["rules/*.yml"])

"""Rule files of the user's own, `monitoring.rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.notified import notified
from monitoring_stack import monitoring_files, spec_of
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.services.prometheus.own_rules import read_own_rules

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
    with pytest.raises(OpsError, match=r"monitoring\.rules\.0: no file matches rules/\*\.yml"):
        files(tmp_path, ["rules/*.yml"])


def faults_of(tmp_path: Path, *files: str, patterns: tuple[str, ...] = ("*.yml",)) -> list[str]:
    for number, text in enumerate(files):
        (tmp_path / f"{number}.yml").write_bytes(text.encode(errors="surrogateescape"))
    spec = spec_of(monitoring={"rules": patterns})
    return [f"{fault.path[-1]} {fault.message}" for fault in read_own_rules(spec, tmp_path).faults]


def rules_with(*lines: str) -> str:
    return "\n".join(("groups:", "- name: shop", "  rules:", *(f"  - {line}" for line in lines), ""))


@each_row(
    "rule, said",
    [
        ("{alert: AppDown, expr: up}", "AppDown is the name of a techsapo alert"),
        ("{alert: FloatingAddressLost, expr: up}", "FloatingAddressLost is the name of a techsapo alert"),
        ("{record: 'techsapo:up', expr: up}", "names that begin with `techsapo:` are reserved for techsapo"),
        *(
            (
                f"{{alert: Own, expr: up, labels: {{page: {value}}}}}",
                "the label page is not true, so the alert pages nobody",
            )
            for value in ('"yes"', "yes", "True", '"True"', "1", "false")
        ),
    ],
)
def test_what_the_stack_can_not_do_with_a_rule_is_said_with_its_line(
    tmp_path: Path, rule: str, said: str
) -> None:
    text = rules_with("{alert: Well, expr: up, labels: {page: true}}", rule)
    assert faults_of(tmp_path, text) == [f"0 0.yml:5: {said}"]


def test_the_labels_of_a_group_are_those_of_its_rules(tmp_path: Path) -> None:
    text = rules_with("{alert: Own, expr: up}").replace("  rules:", "  labels: {page: true}\n  rules:")
    (tmp_path / "shop.yml").write_text(text)
    (rule,) = read_own_rules(spec_of(monitoring={"rules": ["shop.yml"]}), tmp_path).alerts
    assert rule["labels"] == {"page": "true"}
    assert faults_of(tmp_path, text.replace("true", "yes"), patterns=("0.yml",)) == [
        "0 0.yml:3: the label page is not true, so the alert pages nobody"
    ]


def test_files_that_are_no_rules_are_named_with_the_line(tmp_path: Path) -> None:
    broken = "groups:\n- name: a\n\trules: []\n"
    found = faults_of(tmp_path, broken, "rules: []\n", "groups: []\n# caf\udce9\n")
    assert [fault.partition(": ")[0] for fault in found[:2]] == ["0 0.yml:3", "0 1.yml:1"]
    assert found[2] == "0 2.yml:2: not UTF-8 text"
    assert faults_of(tmp_path, patterns=("none/*.yml", "0.yml", "?.yml"))[0] == "0 no file matches none/*.yml"

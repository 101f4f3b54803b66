"""What others may reach: errors in production, warnings elsewhere, unless it is accepted with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from fakes.notified import notified
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.spec.load import LoadedSpec, SpecError
from techsapo_ops.spec.models.root import ExposureName

Loader = Callable[..., LoadedSpec]
CASES = read_yaml((Path(__file__).parents[2] / "cases" / "exposures.yaml").read_text("utf-8"))
DOCS = Path(__file__).parents[3] / "docs"
LISTENERS = notified(
    {
        "critical": [{"kind": "slack", "url": "https://hooks.slack.com/x"}],
        "watchdog": [{"kind": "webhook", "url": "https://hc-ping.com/x"}],
    }
)
PROVIDERS = {name: {"kind": "openai", "model": "m", "api_key": "k"} for name in ("a", "b")}
RULE = re.compile(r"accepted_exposures: \{([a-z-]+): REASON\}")


def written(spec: dict[str, Any], **more: Any) -> str:
    monitoring = spec.get("monitoring", {})
    monitoring = {**monitoring, "grafana": {"admin_password": "own", **monitoring.get("grafana", {})}}
    known = {"project": "x", "providers": PROVIDERS, "notifications": LISTENERS}
    return yaml.safe_dump({**known, **spec, "monitoring": monitoring, **more}, allow_unicode=True)


def rules(found: object) -> list[str]:
    return sorted(RULE.findall(str(found)))


def refused(loaded: Loader, text: str) -> list[str]:
    try:
        loaded(text, environment="production")
    except SpecError as error:
        return rules([str(problem) for problem in error.problems])
    return []


@each_row("case", CASES, ids=lambda c: c["name"])
def test_an_exposure_is_an_error_in_production_and_a_warning_elsewhere(
    loaded: Loader, case: dict[str, Any]
) -> None:
    text = written(case["spec"])
    elsewhere = [] if case.get("in_production") else case["rules"]
    assert rules([str(w) for w in loaded(text).warnings]) == elsewhere
    assert refused(loaded, text) == case["rules"]


@each_row("case", CASES, ids=lambda c: c["name"])
def test_an_exposure_that_is_accepted_with_a_reason_is_neither(loaded: Loader, case: dict[str, Any]) -> None:
    text = written(case["spec"], accepted_exposures=dict.fromkeys(case["rules"], "only lb1 gets through"))
    found = loaded(text, environment="production")
    assert found.warnings == ()
    told = exposures(found.spec, "production")
    assert sorted(e.rule for e in told) == case["rules"]
    assert {e.accepted for e in told} <= {"only lb1 gets through"}


def test_the_published_password_passes_where_only_this_host_reaches_it(loaded: Loader) -> None:
    assert loaded("project: x").warnings == ()


@each_row("reason", ["", "  "])
def test_an_acceptance_needs_a_reason(loaded: Loader, reason: str) -> None:
    text = written({"app": {"host": "0.0.0.0"}}, accepted_exposures={"app-plain-http": reason})
    with pytest.raises(SpecError) as error:
        loaded(text)
    assert "accepted_exposures.app-plain-http" in str(error.value.problems[0])


def test_an_acceptance_of_no_rule_suggests_one(loaded: Loader) -> None:
    with pytest.raises(SpecError, match="did you mean app-plain-http"):
        loaded(written({}, accepted_exposures={"app-plain-htp": "because"}))


def test_an_acceptance_that_is_no_longer_needed_is_told(loaded: Loader) -> None:
    (warning,) = loaded(written({}, accepted_exposures={"app-plain-http": "TLS ends at lb1"})).warnings
    assert "accepted_exposures.app-plain-http: the stack no longer has this exposure" in str(warning)


@each_row("page", ["exposure.md", "exposure.ja.md"])
def test_the_page_on_exposure_lists_every_rule(page: str) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    assert rows == sorted(get_args(ExposureName))


def test_every_rule_has_a_case() -> None:
    assert {rule for case in CASES for rule in case["rules"]} == set(get_args(ExposureName))

"""Recording rules, loaded from rules.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import yaml

API_ROUTES = 'route=~"/(api/)?v1/.+",route!~"/api/v1/(health|metrics/.+)"'
"""Label matchers for the routes that users call."""
JOB_EXPECTED = "techsapo:job_expected:info"
"""1 for each job that the spec schedules, in the label `name`. Rules of its own make it, so that a job which
never ran and left nothing is still missed."""
CONFIG_INFO = "techsapo:config:info"
"""1 for each of Prometheus's own files, in the labels `file` and `hash`. Rules of its own make it:
Prometheus tells when it read its configuration last, which a restart changes, and not which one."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """The series `record` holds the value of the PromQL expression `expr`."""

    record: str
    expr: str


def expand_api(expr: str) -> str:
    """Put API_ROUTES where `expr` says `{api}`, as a whole selector or within one."""
    return expr.replace("{{api},", "{" + API_ROUTES + ",").replace("{api}", "{" + API_ROUTES + "}")


@cache
def recording_rules() -> Mapping[str, tuple[RecordingRule, ...]]:
    """Recording rules by group, in the order of rules.yaml."""
    text = (files("techsapo_ops.catalogue") / "rules.yaml").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            group: tuple(RecordingRule(r["record"], expand_api(r["expr"])) for r in rules)
            for group, rules in yaml.safe_load(text).items()
        }
    )

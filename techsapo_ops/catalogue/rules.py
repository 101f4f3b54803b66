"""Recording rules, loaded from rules.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.catalogue.yaml_text import packaged_yaml

ANSWERING = ("/api/v1/generate", "/api/v1/analyze-logs", "/v1/chat/completions")
"""Templates of the routes that answer users, and of no other: whether they fail, and how long they take, is
what users notice. Pages that poll, dashboards, scrapes, probes and webhooks would dilute it, or fail alone.
"""
API_ROUTES = f'route=~"{"|".join(ANSWERING)}"'
"""Label matchers for them."""
JOB_EXPECTED = "techsapo:job_expected:info"
SCHEDULER_EXPECTED = "techsapo:scheduler_expected:info"
"""1 for each job that the spec schedules, in the label `name`. Rules of its own make it, so that a job which
never ran and left nothing is still missed."""
FRONT_ADDRESS = "techsapo:front_address:info"
"""Series of each host that has the address which several share, with that address."""

INCIDENT = "techsapo:alert:incident"
"""1 for each series of an alert that fires, with the alert's labels and SINCE. An incident goes on while the
alert is away for less than ten minutes, as while Prometheus restarts."""
INCIDENT_SINCE = "techsapo:alert:since_timestamp_seconds"
"""When it began, for each, as a value."""
OTHERS_SINCE = "techsapo:alert:others_since_timestamp_seconds"
"""The same of the other Prometheis of the stack, on several machines: all then say the earliest one."""
SINCE = "since"
"""Label that says when an incident began (Unix seconds); it tells one from the next of the same alert."""
OF_THE_RULE = ("alertname", "severity", "page", "priority", "service")
"""Labels that say of an alert what its rule, or its probe, does, and not which of several it is."""
NEXT = "next"
"""Label of an alert that is sent once more since nobody acknowledged it: which of `notifications.next`."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """The series `record` holds the value of the PromQL expression `expr`."""

    record: str
    expr: str


def expand_api(expr: str) -> str:
    """Put API_ROUTES where `expr` says `{api}`, as a whole selector or within one."""
    return expr.replace("{{api},", "{" + API_ROUTES + ",").replace("{api}", "{" + API_ROUTES + "}")


def _rules(entry: Mapping[str, Any]) -> Iterator[RecordingRule]:
    """The rule of an entry, or one for each of its windows."""
    for window in entry.get("windows", [""]):
        record, expr = (entry[key].replace("{window}", window) for key in ("record", "expr"))
        yield RecordingRule(record, expand_api(expr))


@cache
def recording_rules() -> Mapping[str, tuple[RecordingRule, ...]]:
    """Recording rules by group, in the order of rules.yaml."""
    return MappingProxyType(
        {
            group: tuple(rule for entry in rules for rule in _rules(entry))
            for group, rules in packaged_yaml("rules.yaml").items()
        }
    )

"""When an episode began, and what is sent once more since nobody acknowledged it.

Where several Prometheis see an episode, all have to say the same moment.

Each evaluates for itself, a scrape apart at times. An acknowledgement names an episode by its beginning, and
so do the alerts that are sent on: with two of them nobody would have the other one. So each reads the others'
by their /federate, and the earliest one holds for all, 15 to 30 s after the alert. Of three the same series
comes from two others: they differ by REPLICA, which /federate adds.

https://prometheus.io/docs/prometheus/latest/federation/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from techsapo_ops.catalogue.alerts import PAGE
from techsapo_ops.catalogue.series import EPISODE, EPISODE_SINCE, EPISODES_JOB, NEXT, OTHERS_SINCE, SINCE
from techsapo_ops.services.monitor import basic_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

REPLICA = "replica"
"""Label by which the samples of one of several Prometheis differ from the others'; no alert carries it."""
_OWN = f"last_over_time({EPISODE_SINCE}[10m])"
_OF_TARGETS = "ProbeTargetFailing"
"""The alert of which each series pages or not: its probe says so."""
_FIRES_SINCE = '{{ ($labels.since | toTime).Local.Format "2006-01-02 15:04:05 MST" }}'
"""When the alert itself began, as messages say it; this one began `after` later."""
# Somebody may have had it for a while, or have it by the time that this is repeated.
_SUMMARY = {
    "ja": "対応中の人がいなかったため送りました（発生 {since}）：",
    "en": "Nobody had it when this was sent on; it began at {since}: ",
}


def with_others(expr: str) -> str:
    """The rule of EPISODE_SINCE, with what the other Prometheis say of the same series."""
    others = f"min without ({REPLICA}) (last_over_time({OTHERS_SINCE}[10m]))"
    return expr.replace(_OWN, f"({_OWN} < {others} or {others} or {_OWN})")


def episode_jobs(topology: Topology, service: Service) -> Iterator[dict[str, Any]]:
    """The scrape job of `service` that reads the others; none where it is alone."""
    others = [other for other in topology.of_kind("prometheus") if other.name != service.name]
    if others:
        yield {
            "name": EPISODES_JOB,
            "path": "/federate",
            "scheme": "http",
            "login": basic_auth(topology, "prometheus", "prometheus"),
            "federated": EPISODE_SINCE,
            "renamed": OTHERS_SINCE,
            "targets": [
                {
                    "address": str(topology.address(other, Viewpoint.SERVICE)),
                    "instance": other.name,
                    "labels": {},
                }
                for other in others
            ],
        }


def next_groups(spec: Spec, groups: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A group for each of `notifications.next`, with a rule for each of `groups` that may page.

    Such a rule has the name of the alert, its labels and its condition, so that a silence of the alert and
    what mutes it hold for it as well. Its label NEXT says which of `notifications.next` it is for, SINCE when
    the episode began: an acknowledgement is a silence of what has that SINCE and any NEXT of those not yet
    told.
    """
    targets = any(probe.page for probe in spec.monitoring.probes)
    paging = [
        rule
        for group in groups
        for rule in group["rules"]
        if rule["labels"].get(PAGE) == "true" or (targets and rule["alert"] == _OF_TARGETS)
    ]
    for number, step in enumerate(spec.notifications.next):
        rules = [_rule(rule, number, seconds(step.after), spec.locale) for rule in paging]
        yield {"name": f"techsapo-next-{number}", "rules": rules}


def _rule(rule: Mapping[str, Any], number: int, after: float, locale: str) -> dict[str, Any]:
    """`rule` once more, for what has fired for `after` seconds: its own `for` was over by then."""
    mine = f'{{alertname="{rule["alert"]}",{PAGE}="true"}}'
    added = ", ".join(("alertname", *rule["labels"], SINCE))
    old = f"{EPISODE_SINCE}{mine} <= time() - {after:g}"
    # Nobody's name: the app's metric has for a while that of who gave it back. It is for messages alone.
    annotations = {
        name: text
        for name, text in rule.get("annotations", {}).items()
        if name != "acknowledged_by" and not name.startswith(("summary_", "description_"))
    }
    return {name: value for name, value in rule.items() if name != "for"} | {
        "expr": (
            f"(\n  {EPISODE}{mine}\nand ignoring ({SINCE})\n  ({old})\n)\n"
            f"* ignoring ({added}) group_left ()\n(\n{rule['expr']}\n)"
        ),
        "labels": {**rule["labels"], NEXT: str(number)},
        "annotations": {
            **annotations,
            "summary": _SUMMARY[locale].replace("{since}", _FIRES_SINCE)
            + annotations.get("summary", rule["alert"]),
            "fires_since": _FIRES_SINCE,
        },
    }

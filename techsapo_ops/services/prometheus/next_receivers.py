"""Rules by which a critical alert that nobody acknowledges is sent once more, to the next receivers.

Such a rule has the name of the alert, its labels and its condition, so that a silence of the alert and what
mutes it hold for it as well. Its label NEXT says which of `notifications.next` it is for, SINCE when the
incident began: an acknowledgement is a silence of what has that SINCE and any NEXT of those not yet told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from techsapo_ops.catalogue.rules import INCIDENT, INCIDENT_SINCE, NEXT, SINCE
from techsapo_ops.services.prometheus.alert_rules import spoken
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds

_SUMMARY = {
    "ja": "{after}以内にだれも対応を引き受けませんでした：",
    "en": "Nobody acknowledged it within {after}: ",
}


def next_groups(spec: Spec, groups: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A group for each of `notifications.next`, with a rule for each critical one of `groups`."""
    critical = [rule for g in groups for rule in g["rules"] if rule["labels"]["severity"] == "critical"]
    for number, step in enumerate(spec.notifications.next):
        rules = [_rule(rule, number, seconds(step.after), spec.locale) for rule in critical]
        yield {"name": f"techsapo-next-{number}", "rules": rules}


def _rule(rule: Mapping[str, Any], number: int, after: float, locale: str) -> dict[str, Any]:
    """`rule` once more, for what has fired for `after` seconds: its own `for` was over by then."""
    mine = f'{{alertname="{rule["alert"]}"}}'
    added = ", ".join(("alertname", *rule["labels"], SINCE))
    old = f"{INCIDENT_SINCE}{mine} <= time() - {after:g}"
    # What reaches them is held by nobody: the app's metric names for a while who gave it back.
    told = {name: text for name, text in rule["annotations"].items() if name != "acknowledged_by"}
    return {name: value for name, value in rule.items() if name != "for"} | {
        "expr": (
            f"(\n  {INCIDENT}{mine}\nand ignoring ({SINCE})\n  ({old})\n)\n"
            f"* ignoring ({added}) group_left ()\n(\n{rule['expr']}\n)"
        ),
        "labels": {**rule["labels"], NEXT: str(number)},
        "annotations": {
            **told,
            "summary": _SUMMARY[locale].replace("{after}", spoken(after, locale)) + told["summary"],
        },
    }

"""What the app's own pages show of the spec: thresholds of alerts, whom they reach, what others may reach."""

from __future__ import annotations

from typing import Any

from techsapo_ops.services.prometheus.alert_rules import alerts_of, threshold_of
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import to_json
from techsapo_ops.stack.topology import Topology

FACTS = "pages/stack.json"


def page_facts(spec: Spec, environment: str | None) -> dict[str, Any]:
    """The number that each alert compares with, by its name; what others may reach by the rules of the spec,
    and the reason where that is meant; which lists of `notifications` have no receiver.
    """
    found = {name: threshold_of(spec, alert) for name, alert in alerts_of(spec).items()}
    return {
        "thresholds": {name: number for name, number in found.items() if number is not None},
        "exposures": [
            {"rule": e.rule, "message": e.message, "accepted": e.accepted}
            for e in exposures(spec, environment)
        ],
        "unreached": spec.unreached,
    }


def page_file(topology: Topology) -> RenderedFile:
    """All of it. Not part of app/techsapo.yaml: the pages read it when they are looked at, and a changed
    alert must not restart the app.
    """
    facts = page_facts(topology.spec, topology.layout.environment)
    return RenderedFile(FACTS, to_json(facts, indent=2) + "\n")

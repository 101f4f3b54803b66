"""What the app's own pages show of the spec: thresholds of alerts, whom they reach, what others may reach."""

from __future__ import annotations

from techsapo_ops.services.prometheus.alert_rules import alerts_of, threshold_of
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.formats import to_json
from techsapo_ops.stack.topology import Topology

THRESHOLDS = "pages/thresholds.json"
EXPOSURES = "pages/exposures.json"
UNREACHED = "pages/unreached.json"


def thresholds(spec: Spec) -> dict[str, float]:
    """The number that each alert compares with, where it does, by the alert's name."""
    found = {name: threshold_of(spec, alert) for name, alert in alerts_of(spec).items()}
    return {name: number for name, number in found.items() if number is not None}


def told_exposures(spec: Spec, environment: str | None) -> list[dict[str, str | None]]:
    """What others may reach by the rules of the spec, and the reason where that is meant."""
    found = exposures(spec, environment)
    return [{"rule": e.rule, "message": e.message, "accepted": e.accepted} for e in found]


def page_files(topology: Topology) -> tuple[RenderedFile, ...]:
    """The thresholds, the exposures and which alerts reach no one, each in a file of its own.

    Not part of app/techsapo.yaml: the pages read them when they are looked at, and a changed alert must not
    restart the app.
    """
    exposed = told_exposures(topology.spec, topology.layout.environment)
    return (
        RenderedFile(THRESHOLDS, to_json(thresholds(topology.spec), indent=2) + "\n"),
        RenderedFile(EXPOSURES, to_json(exposed, indent=2) + "\n"),
        RenderedFile(UNREACHED, to_json(topology.spec.unreached, indent=2) + "\n"),
    )

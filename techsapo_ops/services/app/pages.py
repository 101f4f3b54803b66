"""pages/thresholds.json: what the app's own pages draw of the spec's alerts."""

from __future__ import annotations

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.services.prometheus.alert_rules import threshold_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.formats import to_json

THRESHOLDS = "pages/thresholds.json"


def thresholds(spec: Spec) -> dict[str, float]:
    """The number that each alert compares with, where it does, by the alert's name."""
    found = {name: threshold_of(spec, alert) for name, alert in alerts().items()}
    return {name: number for name, number in found.items() if number is not None}


def page_files(spec: Spec) -> tuple[RenderedFile, ...]:
    """The thresholds as a file of their own.

    Not part of app/techsapo.yaml: the pages read this one when they are looked at, and a changed alert
    must not restart the app.
    """
    return (RenderedFile(THRESHOLDS, to_json(thresholds(spec), indent=2) + "\n"),)

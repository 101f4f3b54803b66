"""Alerts that cannot fire: what they read is missing, or their rule is."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.prometheus.missing_series import MISSING_SERIES
from techsapo_ops.stack.health import HealthPart, PartStatus


def cannot_fire(asked: Prometheus, expected: Sequence[str]) -> tuple[HealthPart, ...]:
    """The alerts that cannot fire, and why, by what `asked` has loaded; `expected` are those of the spec.

    Nothing where all can. Raises as Prometheus.query does.
    """
    loaded = {rule.name for rules in asked.rules().values() for rule in rules}
    found: dict[str, str] = {name: msg("its rule is not loaded") for name in expected if name not in loaded}
    for sample in asked.query(MISSING_SERIES):
        for name in sample.labels.get("alerts", "").split(", "):
            where = sample.labels.get("instance", "")
            found.setdefault(
                name, msg("{instance} has no {missing}", instance=where, missing=sample.labels["missing"])
            )
    if not found:
        return ()
    what = joined("; ", (msg("{name}: {why}", name=name, why=why) for name, why in sorted(found.items())))
    count = len(found)
    detail = (
        msg("1 alert cannot fire: {what}", what=what)
        if count == 1
        else msg("{count} alerts cannot fire: {what}", count=count, what=what)
    )
    hint = msg("`techsapo alerts runbook AlertCannotFire`")
    return (HealthPart("alerts", "alerts", PartStatus.DEGRADED, detail, hint=hint),)

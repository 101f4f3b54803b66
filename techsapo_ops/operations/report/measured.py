"""What Prometheus knows of the week: refused questions, alerts, and what was down.

Counters begin anew with each restart, which `increase` knows; what it makes of a moment is rounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.rules import NEXT
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.report.section import STEP, Sources, named, some
from techsapo_ops.services.alertmanager.silencing import over_critical
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.spec.models.base import seconds

_ASKED_SECONDS = 20.0
_UNTOLD = 2 * STEP / 60
"""Minutes without a look that nobody is told of."""
_FINE = 30
"""Seconds of a look that tells how long something fired."""
_BUDGET = ("budget_exhausted", "budget_reserved", "over_request_budget")
_HELD = "techsapo_alert_acknowledged"
_FIRING = f'ALERTS{{alertstate="firing",alertname!~"Watchdog|Drill",{NEXT}=""}}'


def patient(server: Prometheus) -> Prometheus:
    """The same server, waited for as long as a look at a week may take."""
    return server.within(_ASKED_SECONDS)


def refused(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """Questions that were refused for the budget and for rate limits, by reason."""
    words, within = sources.words, f"[{sources.days}d]"
    budget = _counts(sources, f"sum by (code) (increase(techsapo_budget_refusals_total{within}))", "code")
    plans = _counts(sources, f"sum by (plan) (increase(techsapo_rate_limit_hits_total{within}))", "plan")
    lines = []
    if budget:
        reasons = [words(code, count=budget[code]) for code in _BUDGET if code in budget]
        lines.append(words("refused_budget", count=sum(budget.values()), reasons=words.joined(reasons)))
    if plans:
        reasons = [words("plan", name=named(name), count=count) for name, count in plans.items()]
        lines.append(words("refused_rate", count=sum(plans.values()), reasons=some(words, reasons)))
    return lines or [_nothing(sources, "refused_none")], {"budget": budget, "rate_limit": plans}


def noisy(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """The alerts that fired most often, then longest, and who had them when they ended, or has them now; then
    the silences over critical ones.
    """
    words = sources.words
    fired = {
        series.labels.get("alertname", ""): sorted(series.values)
        for series in sources.looks(f"max by (alertname) (max_over_time({_FIRING}[{STEP}s]))")
    }
    by = _holders(sources, fired) if fired else {}
    spent = _minutes(sources, fired) if fired else {}
    found = sorted(((len(_ends(t)), spent[name], name) for name, t in fired.items()), reverse=True)
    shown = [
        words(
            "alert_by" if by.get(name) else "alert",
            name=named(name),
            count=count,
            time=words.span(minutes),
            by=some(words, [named(who) for who in sorted(by.get(name, ()))], 2),
        )
        for count, minutes, name in found
    ]
    lines, silences = _silences(sources)
    return [some(words, shown) if shown else _nothing(sources, "alerts_none"), *lines], {
        "silences": silences,
        "alerts": [
            {"alert": name, "times": count, "minutes": minutes, "acknowledged_by": sorted(by.get(name, ()))}
            for count, minutes, name in found
        ],
    }


def _silences(sources: Sources) -> tuple[list[str], list[dict[str, Any]] | None]:
    """Of which critical alerts nobody is told now, and until when; no line without any.

    Where Alertmanager does not answer, that is the line.
    """
    words = sources.words
    alertmanager = alertmanager_of(sources.stack)
    if alertmanager is None:
        return [], []
    try:
        found = over_critical(alertmanager.silences(), sources.stack.spec)
    except OpsError as error:
        return [words("silences_unknown", why=named(error.message.splitlines()[0]))], None
    shown = [
        words(
            "silence",
            alerts=some(words, hushed.alerts, 2),
            end=sources.clock(hushed.silence.ends.timestamp()),
            by=named(hushed.silence.created_by),
        )
        for hushed in found
    ]
    return [words("silences", silences=some(words, shown))] if shown else [], [
        {
            "id": hushed.silence.id,
            "alerts": list(hushed.alerts),
            "until": sources.iso(hushed.silence.ends.timestamp()),
            "by": hushed.silence.created_by,
            "comment": hushed.silence.comment,
        }
        for hushed in found
    ]


def down(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """What Prometheus could not ask, by the scrapes that failed; and for how long it did not look itself."""
    words, within = sources.words, f"[{sources.days}d]"
    prometheus = sources.stack.spec.monitoring.prometheus
    each = seconds(prometheus.scrape_interval) / 60
    failed = sources.prometheus.query(
        f"max by (job) (count_over_time(up{within}) - sum_over_time(up{within})) > 0"
    )
    times = {s.labels.get("job", ""): round(s.value * each, 1) for s in failed}
    times = {name: spent for name, spent in times.items() if spent >= 1}
    ranked = sorted(times.items(), key=lambda entry: -entry[1])
    looked = sources.measured
    unseen = max(sources.days * 1440 - len(looked) * STEP / 60, 0.0)
    first = looked[0] if looked else sources.now.timestamp()
    late = (first - STEP - sources.begin.timestamp()) / 60
    if unseen <= _UNTOLD:
        unseen = 0.0
    facts = {
        "minutes": dict(ranked),
        "unmeasured_minutes": unseen,
        "measured_since": sources.iso(first) if looked else None,
    }
    if not looked:
        return [words("measured_nothing")], facts
    lines = [some(words, [words("down", name=named(n), time=words.span(t)) for n, t in ranked])]
    if not ranked:
        lines = [words("down_none")]
    if late > _UNTOLD:
        lines.append(words("measured_since", when=sources.clock(first)))
        unseen -= late
    if unseen > _UNTOLD:
        lines.append(words("unmeasured_after" if late > _UNTOLD else "unmeasured", time=words.span(unseen)))
    return lines, facts


def _counts(sources: Sources, expression: str, label: str) -> dict[str, int]:
    found = ((s.labels.get(label, ""), round(s.value)) for s in sources.prometheus.query(expression))
    return {name: count for name, count in sorted(found) if count}


def _nothing(sources: Sources, none: str) -> str:
    """The words of `none`, unless Prometheus knows of nothing since it measured nothing."""
    return sources.words(none if sources.measured else "measured_nothing")


def _ends(moments: Sequence[float]) -> list[float]:
    """The last look of each time that it fired, by the looks at which it did, in order."""
    return [a for a, b in pairwise(moments) if b - a > 1.5 * STEP] + [*moments[-1:]]


def _minutes(sources: Sources, fired: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """For how long each alert fired: looks alone would make five minutes of one."""
    count = f"count_over_time(max by (alertname) ({_FIRING})[{sources.days}d:{_FINE}s])"
    counted = {s.labels.get("alertname", ""): s.value for s in sources.prometheus.query(count)}
    return {
        name: min(len(looks) * STEP / 60, max(counted.get(name, len(looks) * STEP) * _FINE / 60, 1.0))
        for name, looks in fired.items()
    }


def _holders(sources: Sources, fired: Mapping[str, Sequence[float]]) -> dict[str, set[str]]:
    """Who had each alert at the end of a time that it fired; of what fires now, who has it. Not who gave it
    back before.
    """
    by: dict[str, set[str]] = defaultdict(set)
    server, last = sources.prometheus, sources.now.timestamp() - STEP
    fires = {s.labels.get("alertname", "") for s in server.query(f"max by (alertname) ({_FIRING})")}
    for sample in server.query(f"max by (alert, by) ({_HELD})"):
        by[sample.labels.get("alert", "")].add(sample.labels.get("by", ""))
    for series in sources.looks(f"max by (alert, by) (max_over_time({_HELD}[{STEP}s]))"):
        name = series.labels.get("alert", "")
        ends = {end for end in _ends(fired.get(name, ())) if end <= last or name not in fires}
        if ends & series.values.keys():
            by[name].add(series.labels.get("by", ""))
    return by

"""Alert rules for Prometheus: the catalogue's alerts with the spec's thresholds, durations and language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.catalogue.alerts import (
    DRILL,
    DRILL_LABEL,
    PAGE,
    WATCHDOG,
    Alert,
    alerts_on,
    filled,
    promql_number,
)
from techsapo_ops.catalogue.pages import runbooks
from techsapo_ops.catalogue.series import NEXT, OF_THE_RULE, SINCE
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.address import page_url
from techsapo_ops.stack.templates import go_template_text

HELD = "techsapo_alert_acknowledged"
"""The app's metric of who has what: the alert's name, what tells it from others of that name, and who."""
_NOT_ITS_OWN = "|".join(("__name__", *OF_THE_RULE, SINCE, NEXT))
_NO_HOST = {"ja": "不明", "en": "a host that is not known"}
_SCRAPE_TIMEOUT = 10.0
"""Seconds after which Prometheus gives a scrape up, where it does not scrape more often than that."""
_SCRAPES = 4
"""How many scrapes the catalogue's own windows hold at least."""
_NONE: Mapping[str, str] = MappingProxyType({})
_PAGE_AWAY = {
    "ja": "ページを開けないときは、ホストで `techsapo alerts ack {alert}` を実行して引き受けます。",
    "en": "While the links do not open, say on the host that you have it: `techsapo alerts ack {alert}`",
}


def alert_groups(
    spec: Spec, jobs: Sequence[str], commands: Mapping[str, str] = _NONE
) -> list[dict[str, Any]]:
    """The catalogue's alerts as rule groups of Prometheus, one a severity, with the spec's changes.

    `jobs` are the scrape jobs whose absence is an alert; an alert that reads nothing of what these or the app
    bring is left out. `commands` is what takes the place of what a runbook says of any stack.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts_in(spec, jobs):
        groups.setdefault(alert.severity, []).append(alert_rule(spec, alert, jobs, commands))
    total = sum(map(len, groups.values()))
    for rule in (rule for rules in groups.values() for rule in rules):
        rule["expr"] = rule["expr"].replace("{rules}", str(total))
    return [{"name": f"techsapo-alerts-{severity}", "rules": rules} for severity, rules in groups.items()]


def alerts_in(spec: Spec, jobs: Sequence[str]) -> Iterator[Alert]:
    """The alerts of which there are rules, see alert_groups; the worst first."""
    for alert in alerts_of(spec).values():
        settings = spec.monitoring.alerts.get(alert.name)
        if (settings is None or settings.enabled) and alert.can_fire(jobs):
            yield alert


def alerts_of(spec: Spec) -> Mapping[str, Alert]:
    """By name, the alerts that the machines of `spec` can have, as they have them; the worst first."""
    return _alerts_of(len(spec.hosts), moves=spec.floating_address is not None)


@cache
def _alerts_of(hosts: int, *, moves: bool) -> Mapping[str, Alert]:
    every = alerts_on(hosts)
    return MappingProxyType({name: alert for name, alert in every.items() if moves or not _moves(alert)})


def _moves(alert: Alert) -> bool:
    """Whether it is about the address that moves between machines."""
    return any("{floating}" in text for text in (alert.expr, *alert.description.values()))


def runbook_url(spec: Spec, alert: Alert) -> str:
    """Where the alert's page is: below `monitoring.runbook_url`, else of the app."""
    base = spec.monitoring.runbook_url
    if base is None:
        return page_url(spec, f"/runbooks/{alert.name}")
    return f"{base.rstrip('/')}/{alert.runbook}"


def help_with(spec: Spec, alert: Alert, commands: Mapping[str, str] = _NONE) -> dict[str, str]:
    """What a message has beside what is wrong: where the pages are, and what to look at first.

    The latter since a page may be away when it is needed most, and with it the one that acknowledges.
    """
    page = runbooks()[alert.name].of_stack(commands, hosts=len(spec.hosts), locales=(spec.locale,))
    steps = page.steps(spec.locale)
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    if alert.page_away and spec.monitoring.alertmanager.enabled:
        lines.append(_PAGE_AWAY[spec.locale].format(alert=alert.name))
    return {
        "steps": "\n".join(lines),
        "runbook_url": runbook_url(spec, alert),
        "dashboard_url": page_url(spec, f"/dashboards#{alert.dashboard}"),
    }


@cache
def duration_text(total: float) -> str:
    """Seconds as a Prometheus duration: 90.5 is `1m30s500ms`."""
    left = round(total * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def threshold_of(spec: Spec, alert: Alert) -> float | None:
    """The number that `alert` compares with: the spec's own for it, else the catalogue's or its field's."""
    settings = spec.monitoring.alerts.get(alert.name)
    if settings is not None and settings.threshold is not None:
        return settings.threshold
    if alert.threshold_field is None:
        return alert.threshold
    return {"monitoring.availability_percent": spec.monitoring.availability_percent}[alert.threshold_field]


def for_of(spec: Spec, alert: Alert) -> str:
    """How long the expression of `alert` has to hold: the spec's own for it, else the catalogue's."""
    settings = spec.monitoring.alerts.get(alert.name)
    return _default_for(spec, alert) if settings is None or settings.for_ is None else settings.for_


def alert_rule(
    spec: Spec, alert: Alert, jobs: Sequence[str], commands: Mapping[str, str] = _NONE
) -> dict[str, Any]:
    """`alert` as a rule of Prometheus; see alert_groups."""
    settings = spec.monitoring.alerts.get(alert.name)
    threshold = threshold_of(spec, alert)
    minimum = alert.minimum if settings is None or settings.minimum is None else settings.minimum
    for_ = for_of(spec, alert)
    keep = alert.keep_firing_for
    if settings is not None and settings.keep_firing_for is not None:
        keep = settings.keep_firing_for
    window = alert.window if settings is None or settings.window is None else settings.window
    if window is not None:
        # Where it is scraped seldom, the catalogue's own window could hold too little for a rate, or for
        # three changes. `validate` wants two of the spec's own.
        own = settings is not None and settings.window is not None
        least = 0 if own else _SCRAPES * seconds(spec.monitoring.prometheus.scrape_interval)
        window = duration_text(max(seconds(window), least))
    floating = (spec.floating_address or "").partition("/")[0]
    expr = alert.expression(
        threshold=threshold,
        minimum=minimum,
        window=window,
        jobs=jobs,
        machines=len(spec.hosts),
        floating=floating,
    )
    hung = 0.9 * min(_SCRAPE_TIMEOUT, seconds(spec.monitoring.prometheus.scrape_interval))
    expr = filled(expr, {"hung": promql_number(hung), "scrape": spec.monitoring.prometheus.scrape_interval})
    rule: dict[str, Any] = {"alert": alert.name, "expr": expr}
    if seconds(for_) > 0:
        rule["for"] = for_
    if keep is not None and seconds(keep) > 0:
        rule["keep_firing_for"] = keep

    def text(by_locale: Mapping[str, str], locale: str) -> str:
        hosts = alert.hosts.replace("{floating}", floating) if alert.hosts is not None else None
        said = {
            "threshold": "" if threshold is None else promql_number(threshold),
            "floating": floating,
            "machines": str(len(spec.hosts)),
            "majority": str(len(spec.hosts) // 2 + 1),
            "hosts": None if hosts is None else _hosts_text(hosts, locale),
            "minimum": "" if minimum is None else promql_number(minimum),
            "window": spoken(seconds(window or "0s"), locale),
            "for": spoken(seconds(for_), locale),
        }
        return filled(by_locale[locale], said)

    rule["labels"] = {"severity": alert.severity, "priority": alert.priority, "service": alert.service}
    if alert.page:
        rule["labels"][PAGE] = "true"
    if alert.name == DRILL:
        rule["labels"][DRILL_LABEL] = "true"
    rule["annotations"] = {
        "summary": text(alert.summary, spec.locale),
        "description": text(alert.description, spec.locale),
        **{name: go_template_text(words) for name, words in help_with(spec, alert, commands).items()},
    }
    rule["annotations"]["steps"] = _of_its_host(rule["annotations"]["steps"])
    # Messages are in the stack's language; who reads the Status page in another one has its words, too.
    for locale in sorted(alert.summary.keys() - {spec.locale}):
        rule["annotations"][f"summary_{locale}"] = text(alert.summary, locale)
        rule["annotations"][f"description_{locale}"] = text(alert.description, locale)
    if alert.name != WATCHDOG:
        rule["annotations"]["acknowledged_by"] = _holder_text(alert.name)
    return rule


def _of_its_host(steps: str) -> str:
    """`steps` with the host that the alert is about in place of HOST, where it carries one.

    Else `exec` enters one of the kind that runs, and what else needs a name is left to the reader.
    """
    steps = re.sub(r"(?<=techsapo exec )(\w+)-HOST", r"\1{{ with $labels.host }}-{{ . }}{{ end }}", steps)
    return re.sub(r"\bHOST\b", '{{ or $labels.host "HOST" }}', steps)


def _default_for(spec: Spec, alert: Alert) -> str:
    """The catalogue's `for`. Where it waits at all, or is an exporter's, no shorter than from one scrape to
    the next and the evaluation after it: one scrape that met a restart, or a start before the first one,
    would else be an alert where it is scraped seldom.
    """
    if alert.exporter is None and not seconds(alert.for_):
        return alert.for_
    least = 2 * seconds(spec.monitoring.prometheus.scrape_interval)
    return duration_text(max(seconds(alert.for_), least))


@cache
def spoken(total: float, locale: str) -> str:
    """A duration as people say it: 90 s is `1 分 30 秒` or `1 min 30 s`."""
    units = {"d": " 日", "h": " 時間", "m": " 分", "s": " 秒", "ms": " ミリ秒"}
    if locale != "ja":
        units = {"d": " d", "h": " h", "m": " min", "s": " s", "ms": " ms"}
    parts = re.findall(r"(\d+)([a-z]+)", duration_text(total))
    return " ".join(number + units[unit] for number, unit in parts)


def _holder_text(alert: str) -> str:
    """What messages say about who has the alert, which Prometheus looks up at each evaluation: their names.

    Nothing where nobody has it, and while no instance of the app answers.
    """
    held = f'max by (by) ({HELD}{{alert=\\"{alert}\\",of=%q}})'
    return (
        '{{ $of := "" }}{{ range $name, $value := $labels }}'
        f'{{{{ if not (match "^({_NOT_ITS_OWN})$" $name) }}}}'
        '{{ if $of }}{{ $of = printf "%s, " $of }}{{ end }}{{ $of = printf "%s%s=%s" $of $name $value }}'
        "{{ end }}{{ end }}"
        f'{{{{ range $n, $held := query (printf "{held}" $of) }}}}'
        "{{ if $n }}, {{ end }}{{ $held.Labels.by }}{{ end }}"
    )


def _hosts_text(expr: str, locale: str) -> str:
    """What messages say about the hosts that `expr` has, which Prometheus looks up, too."""
    asked = json.dumps(" ".join(expr.split()))
    return (
        f'{{{{ range $n, $each := query {asked} | sortByLabel "host" }}}}'
        "{{ if $n }}, {{ end }}{{ $each.Labels.host }}"
        f"{{{{ else }}}}{_NO_HOST[locale]}{{{{ end }}}}"
    )

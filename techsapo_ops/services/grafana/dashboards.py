"""The catalogue's dashboards as Grafana's JSON."""

from __future__ import annotations

from typing import Any

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dashboards import Dashboard, Panel, Thresholds, legend_on
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.prometheus.alert_rules import runbook_url, threshold_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.templates import to_json

PROMETHEUS_UID = "techsapo-prometheus"
"""Uid of the data source that the dashboards start with."""

TAG = "techsapo"
"""Tag of every dashboard of a stack, by which they link to each other."""

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_CHOICES = (
    ("instance", "techsapo_build_info", {"ja": "インスタンス", "en": "Instance"}),
    ("provider", "techsapo_provider_info", {"ja": "プロバイダー", "en": "Provider"}),
)
"""Variables: name, which is also the label, a metric that has every value of it, and the words."""
ROOM_FOR_FIGURES = 7
"""Columns of the grid, of 24, from which on a legend shows figures beside its names."""
_OF_ALL = {
    "ja": "インスタンスの選択にかかわらず全体の値です。",
    "en": " It is that of all, whichever instance is chosen.",
}
"""Said of a panel that a choice of the instance does not change."""
_COLORS = {"good": "green", "warning": "yellow", "critical": "red"}


def dashboard_json(spec: Spec, dashboard: Dashboard) -> str:
    """The dashboard as Grafana's JSON, in the spec's language and with its thresholds."""
    locale = spec.locale
    value = {
        "uid": dashboard.uid,
        "title": dashboard.title[locale],
        "description": dashboard.description[locale],
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 41,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [_other_dashboards(locale)],
        "templating": {"list": _variables(dashboard, locale)},
        "annotations": {"list": [_alert_annotation(locale), _apply_annotation(locale)]},
        "panels": _panels(spec, dashboard),
    }
    return to_json(value, indent=2) + "\n"


def _variables(dashboard: Dashboard, locale: str) -> list[dict[str, Any]]:
    """The data source, and of the others those that an expression of the dashboard reads."""
    japanese = locale == "ja"
    chosen = [
        {
            "type": "query",
            "name": name,
            "label": label[locale],
            "datasource": _DATASOURCE,
            "query": {"query": f"label_values({metric}, {name})", "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": "All", "value": "$__all"},
            "hide": 0,
        }
        for name, metric, label in _CHOICES
        if _reads(f"${name}", *dashboard.panels)
    ]
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "データソース" if japanese else "Data source",
            "query": "prometheus",
            "current": {"selected": True, "text": "Prometheus", "value": PROMETHEUS_UID},
            "hide": 0,
        },
        *chosen,
    ]


def _other_dashboards(locale: str) -> dict[str, Any]:
    """A menu of the stack's dashboards, which open at the same time span and choices."""
    return {
        "type": "dashboards",
        "title": "ほかのダッシュボード" if locale == "ja" else "Other dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _reads(variable: str, *panels: Panel) -> bool:
    return any(variable in query.expr for panel in panels for query in panel.queries)


def _alert_annotation(locale: str) -> dict[str, Any]:
    return {
        "name": "アラート" if locale == "ja" else "Alerts",
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",severity=~"critical|warning",next=""}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{instance}}",
    }


def _apply_annotation(locale: str) -> dict[str, Any]:
    """A mark at the end of each apply: all values of its series are that time, of which Grafana makes one."""
    return {
        "name": "適用" if locale == "ja" else "Applies",
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": "1000 * max by (number, user, command, result) (techsapo_apply_timestamp_seconds)",
        "useValueForTime": True,
        "titleFormat": "@{{number}}",
        "textFormat": "{{command}} {{user}} {{result}}",
    }


def _panels(spec: Spec, dashboard: Dashboard) -> list[dict[str, Any]]:
    """Rows and panels from top to bottom, numbered from 1, on Grafana's grid of 24 columns."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in dashboard.rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title[spec.locale],
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        x, y = 0, y + 1
        for panel in row.panels:
            grid = {"x": x, "y": y, "w": panel.width, "h": row.height}
            panels.append({"id": len(panels) + 1, **_panel(spec, dashboard, panel), "gridPos": grid})
            x += panel.width
        y += row.height
    return panels


def _panel(spec: Spec, dashboard: Dashboard, panel: Panel) -> dict[str, Any]:
    locale = spec.locale
    description = panel.description[locale]
    if _reads("$instance", *dashboard.panels) and not _reads("$instance", panel):
        description += _OF_ALL[locale]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": _thresholds(spec, panel.thresholds)}
    defaults.update(
        {bound: value for bound, value in (("min", panel.min), ("max", panel.max)) if value is not None}
    )
    calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case "timeseries":
            defaults["custom"] = {
                "lineWidth": 2,
                "fillOpacity": 10,
                # A value between two gaps is no line: without a point it would not be seen.
                "showPoints": "auto",
                "spanNulls": False,
                "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
            }
            options: dict[str, Any] = {
                "legend": _legend(panel),
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            options = {
                "reduceOptions": calculated,
                "colorMode": "value",
                "graphMode": "area" if panel.shows == "value" else "none",
                "textMode": "auto" if panel.shows == "value" else "value_and_name",
            }
        case "gauge":
            options = {"reduceOptions": calculated, "showThresholdMarkers": True}
        case "bargauge":
            options = {"reduceOptions": calculated, "orientation": "horizontal", "displayMode": "basic"}
    value: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title[locale],
        "description": description,
        "datasource": _DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": _DATASOURCE,
                "expr": query.expr,
                "legendFormat": legend_on(len(spec.hosts), query.legend[locale]),
                # A name is that of the present; over time there would be several.
                "range": panel.shows == "value",
                "instant": panel.shows == "name",
                "exemplar": panel.kind == "timeseries" and query.raw_histogram,
            }
            for n, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }
    links = _links(spec, panel.thresholds)
    if links:
        value["links"] = links
    return value


def _legend(panel: Panel) -> dict[str, Any]:
    """A table of each line's mean, highest and last value where there is room for it, else the names."""
    room = panel.width >= ROOM_FOR_FIGURES
    return {
        "displayMode": "table" if room else "list",
        "placement": "bottom",
        "showLegend": True,
        "calcs": ["mean", "max", "lastNotNull"] if room else ["lastNotNull"],
    }


def _thresholds(spec: Spec, thresholds: Thresholds | None) -> dict[str, Any]:
    bounds = thresholds or Thresholds()
    numbers = {
        level: _number(spec, bound)
        for level, bound in (("warning", bounds.warning), ("critical", bounds.critical))
        if bound is not None
    }
    if bounds.bad == "above":
        lowest, rising = "good", sorted(numbers.items(), key=lambda item: item[1])
    else:
        # A step colours the values from it upwards: below the lowest bound is the worst level.
        falling = sorted(numbers.items(), key=lambda item: item[1])
        levels = [level for level, _ in falling] + ["good"]
        lowest = levels[0]
        rising = [(level, number) for level, (_, number) in zip(levels[1:], falling, strict=True)]
    steps: list[dict[str, Any]] = [{"color": _COLORS[lowest], "value": None}]
    steps += [{"color": _COLORS[level], "value": number} for level, number in rising]
    return {"mode": "absolute", "steps": steps}


def _number(spec: Spec, bound: float | str) -> float:
    if not isinstance(bound, str):
        return bound
    number = threshold_of(spec, alerts()[bound])
    if number is None:
        raise OpsError(msg("alert {bound} has no threshold that a panel could show", bound=bound))
    return number


def _links(spec: Spec, thresholds: Thresholds | None) -> list[dict[str, Any]]:
    """Links to the runbooks of the alerts whose thresholds are shown."""
    if thresholds is None:
        return []
    names = [b for b in (thresholds.warning, thresholds.critical) if isinstance(b, str)]
    return [{"title": name, "url": runbook_url(spec, alerts()[name]), "targetBlank": True} for name in names]

"""The references of metrics and alerts, from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from docsite.reference.parts import code, head, page_text, said, table, words
from techsapo_ops.catalogue.alerts import Alert, alerts, promql_number
from techsapo_ops.catalogue.metrics import Metric, job_metrics, metrics


def metrics_page(language: str) -> str:
    """Every series of the app and of the jobs."""
    page = "metrics"
    lines = head(page, language)
    for part, found in (("app", metrics()), ("jobs", job_metrics())):
        lines += [f"## {words(page, part, language)}", ""]
        lines += table(words(page, "columns", language), _metric_rows(found, language))
    return page_text(lines)


def _metric_rows(found: Mapping[str, Metric], language: str) -> list[list[str]]:
    return [
        [code(m.name), m.kind, ", ".join(map(code, m.labels)), said(m.help, language)] for m in found.values()
    ]


def alerts_page(language: str) -> str:
    """Every alert with what it says, by its own thresholds."""
    page = "alerts"
    lines = head(page, language)
    lines += table(
        words(page, "columns", language), (_alert_row(alert, language) for alert in alerts().values())
    )
    return page_text(lines)


def _alert_row(alert: Alert, language: str) -> list[str]:
    name = f"[{alert.name}](../../techsapo_ops/catalogue/runbooks/{alert.runbook})"
    said = alert.summary[language]
    for key, value in (
        ("{threshold}", code(alert.threshold_field) if alert.threshold_field else _number(alert.threshold)),
        ("{minimum}", _number(alert.minimum)), ("{window}", alert.window or ""), ("{for}", alert.for_),
    ):  # fmt: skip
        said = said.replace(key, value)
    return [name, alert.severity, alert.priority, alert.for_, said.replace("{{", "`{{").replace("}}", "}}`")]


def _number(value: float | None) -> str:
    return "" if value is None else promql_number(value)

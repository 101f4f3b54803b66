"""The pages of the spec's fields, the metrics and the alerts, and what all generated pages share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.alerts import Alert, alerts, promql_number
from techsapo_ops.catalogue.series import Metric, job_metrics, metrics
from techsapo_ops.catalogue.translations import Language, in_language, words_of
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import Message
from techsapo_ops.spec.describe import Child, explain

HERE = Path(__file__).parent


@cache
def facts(name: str) -> dict[str, Any]:
    """A YAML file of this folder."""
    read: dict[str, Any] = read_yaml((HERE / name).read_text(encoding="utf-8"))
    return read


def words(page: str, key: str, language: str) -> Any:
    """What is around the generated part of `page`."""
    return facts("words.yaml")[page][key][language]


def said(text: str, language: str) -> str:
    """A text of the package in `language`, as the command line says it; English where there are no others."""
    chosen: Language = "ja" if language == "ja" else "en"
    if isinstance(text, Message):
        return in_language(text, chosen)
    return words_of(chosen)(" ".join(text.split())) if text else text


def head(page: str, language: str) -> list[str]:
    """Title, the link to the other language, what it is."""
    other = facts("words.yaml")["other"][language].format(page=page)
    return [f"# {words(page, 'title', language)}", "", other, "", words(page, "about", language), ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; pipes and line ends in cells are made harmless."""
    lines = (f"| {' | '.join(map(_cell, row))} |" for row in (columns, ["---"] * len(columns), *rows))
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """`text` as code; nothing where it is empty."""
    return f"`{text}`" if text else ""


def page_text(lines: Iterable[str]) -> str:
    """The page, with one line end at its end."""
    return "\n".join(lines).rstrip() + "\n"


_WIDEST = 60


def configuration_page(language: str) -> str:
    """Every field of the spec: the top level, then each section with its fields."""
    page = "configuration"
    lines = head(page, language)
    for path, children in _sections("", ""):
        lines += [f"## {code(path) or words(page, 'top', language)}", ""]
        lines += table(words(page, "columns", language), (_field_row(child, language) for child in children))
    return page_text(lines)


def _sections(path: str, shown: str) -> Iterator[tuple[str, tuple[Child, ...]]]:
    """Each section below `path`, which is shown as `shown`: entries by name as NAME, of a list as []."""
    children = explain(path).children
    if not children:
        return
    yield shown, children
    for child in {child.key: child for child in children}.values():
        if "section" not in child.type:
            continue
        entry = ".NAME" if child.type.startswith("mapping") else "[]" if child.type.startswith("list") else ""
        dot = "." if path else ""
        yield from _sections(f"{path}{dot}{child.key}", f"{shown}{dot}{child.key}{entry}")


def _field_row(child: Child, language: str) -> list[str]:
    page = "configuration"
    default = words(page, "required", language) if child.required else _default(child.default)
    only = f" ({words(page, 'only', language).format(kind=child.kind)})" if child.kind else ""
    return [code(child.key), said(child.type, language), default, said(child.help, language) + only]


def _default(default: Any) -> str:
    if default is None or default in ([], {}):
        return ""
    text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    return code(text) if len(text) <= _WIDEST else "…"


def metrics_page(language: str) -> str:
    """Every series of the app and of the jobs."""
    page = "metrics"
    lines = head(page, language)
    for part, series in (("app", metrics()), ("jobs", job_metrics())):
        lines += [f"## {words(page, part, language)}", ""]
        lines += table(words(page, "columns", language), _metric_rows(series, language))
    return page_text(lines)


def _metric_rows(series: Mapping[str, Metric], language: str) -> list[list[str]]:
    return [
        [code(m.name), m.kind, ", ".join(map(code, m.labels)), said(m.help, language)]
        for m in series.values()
    ]


def alerts_page(language: str) -> str:
    """Every alert with what it says, by its own thresholds."""
    page = "alerts"
    rows = (_alert_row(alert, language) for alert in alerts().values())
    return page_text([*head(page, language), *table(words(page, "columns", language), rows)])


def _alert_row(alert: Alert, language: str) -> list[str]:
    name = f"[{alert.name}](../../techsapo_ops/catalogue/runbooks/{alert.runbook})"
    summary = dict(alert.summary)[language]
    for key, value in (
        ("{threshold}", code(alert.threshold_field) if alert.threshold_field else _number(alert.threshold)),
        ("{minimum}", _number(alert.minimum)), ("{window}", alert.window or ""), ("{for}", alert.for_),
    ):  # fmt: skip
        summary = summary.replace(key, value)
    summary = summary.replace("{{", "`{{").replace("}}", "}}`")
    return [name, alert.severity, alert.priority, alert.for_, summary]


def _number(value: float | None) -> str:
    return "" if value is None else promql_number(value)

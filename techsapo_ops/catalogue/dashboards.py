"""The dashboards, loaded from dashboards/*.yaml."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from techsapo_ops.catalogue.alerts import DISKS
from techsapo_ops.catalogue.series import expand_api
from techsapo_ops.catalogue.yaml_text import catalogue_files, packaged_yaml

PanelKind = Literal["timeseries", "stat", "gauge", "bargauge"]
LOCALES = ("ja", "en")
CHOICES = ("instance", "provider")

_PLAIN = re.compile(
    r"(?:(?:sum|max|min|avg)(?: by \([^)]*\))? ?\()?(?:rate\()?"
    r"([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?(?:\[[^\]]*\])?\)*"
)
"""An expression that shows one metric as it is, or its rate."""
_VARIABLE = re.compile(r"\$(?:__rate_interval|instance|provider)\b")

Words = Mapping[str, str]
"""One text by locale, `ja` and `en`."""
_SAY_WHERE = ("{{instance}}", "{{host}}", "{{to}}")


def legend_on(hosts: int, legend: str) -> str:
    """`legend` of a series, with its host where it would not tell which of so many; 0 for a stack on one."""
    tells = not hosts or any(label in legend for label in _SAY_WHERE)
    return legend if tells else f"{legend} {{{{host}}}}"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel, with Grafana's variables in it."""

    expr: str
    legend: Words

    @property
    def raw_histogram(self) -> bool:
        """Whether it reads a histogram's buckets themselves, whose samples carry exemplars."""
        return "_bucket{" in self.expr or "_bucket[" in self.expr

    def promql(self, *, rate_interval: str, instance: str = ".*", provider: str = ".*") -> str:
        """The expression with its variables filled in; instance and provider are regular expressions."""
        filled = {"$__rate_interval": rate_interval, "$instance": instance, "$provider": provider}
        return _VARIABLE.sub(lambda match: filled[match[0]], self.expr)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a value is a warning or critical: a number, or the name of the alert that has it."""

    bad: Literal["above", "below"] = "above"
    warning: float | str | None = None
    critical: float | str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `unit` is a unit id of Grafana, `width` is of 24."""

    title: Words
    description: Words
    kind: PanelKind
    width: int
    unit: str
    queries: tuple[Query, ...]
    min: float | None = None
    max: float | None = None
    thresholds: Thresholds | None = None
    shows: Literal["value", "name"] = "value"
    """What a stat shows large: the value, or its legend's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels beside each other, all `height` grid units high (of about 30 pixels)."""

    title: Words
    height: int
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One file of dashboards/; `name` is the file's, `uid` stays the same for ever.

    `needs` is the service whose figures it shows, which is also the name of its scrape job; None: the app's.
    """

    name: str
    uid: str
    title: Words
    description: Words
    rows: tuple[Row, ...]
    needs: str | None = None
    machines: bool = False
    """Whether it is of stacks on several machines alone."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)

    @property
    def choices(self) -> tuple[str, ...]:
        """What a reader may choose: the variables that some panel's expression reads."""
        read = [query.expr for panel in self.panels for query in panel.queries]
        return tuple(name for name in CHOICES if any(f"${name}" in expr for expr in read))


def _words(entry: str | dict[str, str]) -> Words:
    return MappingProxyType(dict.fromkeys(LOCALES, entry) if isinstance(entry, str) else entry)


def _panel(entry: dict[str, Any]) -> Panel:
    return Panel(
        title=_words(entry["title"]),
        description=_words(entry["description"]),
        kind=entry["kind"],
        width=entry["width"],
        unit=entry["unit"],
        queries=tuple(Query(_expanded(q["expr"]), _words(q["legend"])) for q in entry["queries"]),
        min=entry.get("min"),
        max=entry.get("max"),
        thresholds=Thresholds(**entry["thresholds"]) if "thresholds" in entry else None,
        shows=entry.get("shows", "value"),
    )


def _expanded(expr: str) -> str:
    return expand_api(expr.replace("{disks}", "{" + DISKS + "}"))


def _dashboard(name: str, entry: dict[str, Any]) -> Dashboard:
    rows = tuple(
        Row(_words(row["title"]), row["height"], tuple(_panel(p) for p in row["panels"]))
        for row in entry["rows"]
    )
    title, description = _words(entry["title"]), _words(entry["description"])
    return Dashboard(
        name, entry["uid"], title, description, rows, entry.get("needs"), entry.get("machines", False)
    )


def dashboards_of(hosts: Collection[object]) -> Mapping[str, Dashboard]:
    """Those that a stack on these hosts may have; there are none to name where it is on one."""
    return {name: each for name, each in dashboards().items() if hosts or not each.machines}


@cache
def metric_titles() -> Mapping[str, Words]:
    """What a metric is called: the title of the first panel that shows it alone and as it is."""
    panels = (panel for dashboard in dashboards().values() for panel in dashboard.panels)
    titles: dict[str, Words] = {}
    for panel in panels:
        if len(panel.queries) == 1 and (plain := _PLAIN.fullmatch(panel.queries[0].expr.strip())):
            titles.setdefault(plain[1], panel.title)
    return titles


@cache
def dashboards() -> Mapping[str, Dashboard]:
    """Every dashboard by name, sorted."""
    names = [page.stem for page in catalogue_files() if page.parent.name == "dashboards"]
    return MappingProxyType(
        {name: _dashboard(name, packaged_yaml(f"dashboards/{name}.yaml")) for name in names}
    )

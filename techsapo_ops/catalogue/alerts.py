"""The alerts, loaded from alerts.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import yaml

Severity = Literal["critical", "warning", "info"]
Priority = Literal["P0", "P1", "P2"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""From the worst down."""
DISKS = (
    'fstype!~"tmpfs|ramfs|devtmpfs|squashfs|iso9660|autofs|nsfs|fuse.*",'
    'mountpoint!~"/(proc|sys|dev|run)(/.*)?"'
)
"""Label matchers for the file systems of node exporter that can fill up."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One entry of alerts.yaml; the file's head explains each key. Texts are by locale, `ja` and `en`."""

    name: str
    expr: str
    threshold: float | None
    for_: str
    window: str | None
    severity: Severity
    priority: Priority
    service: str
    exporter: str | None
    muted_by: tuple[str, ...]
    summary: Mapping[str, str]
    description: Mapping[str, str]

    @property
    def runbook(self) -> str:
        """File name of the page in docs/runbooks/."""
        return f"{self.name}.md"

    def expression(
        self, *, threshold: float | None = None, window: str | None = None, jobs: Sequence[str] = ()
    ) -> str:
        """The PromQL expression; `threshold` and `window` take the place of the catalogue's.

        `jobs` are the scrape jobs that have to be there.
        """
        expr = self.expr.replace("{disks}", "{" + DISKS + "}")
        expr = expr.replace("{absent_targets}", "\nor\n".join(part for job in jobs for part in _absent(job)))
        if (window or self.window) is not None:
            expr = expr.replace("{window}", window or self.window or "")
        number = self.threshold if threshold is None else threshold
        return expr if number is None else expr.replace("{threshold}", promql_number(number))


def _absent(job: str) -> Iterator[str]:
    """What is true while the scrape job `job`, or what it is there for, is missing."""
    yield f'absent(up{{job="{job}"}})'
    if (series := server_up().get(job)) is not None:
        # An exporter's image of the user's own choice may name it otherwise: NGINX Plus has nginxplus_up.
        yield f'up{{job="{job}"}} == 1 unless on (job, instance) {series}'


@cache
def server_up() -> Mapping[str, str]:
    """By scrape job, the series in which an exporter says whether its server answers: 1, else 0."""
    text = (files("techsapo_ops.catalogue") / "server_up.yaml").read_text(encoding="utf-8")
    return MappingProxyType(yaml.safe_load(text))


def promql_number(value: float) -> str:
    """`value` as a PromQL number, exact: 85.0 is `85`, infinity is `+Inf`."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    return repr(value).removesuffix(".0")


def _alert(name: str, entry: dict[str, Any]) -> Alert:
    threshold = entry.get("threshold")
    return Alert(
        name=name,
        expr=entry["expr"],
        threshold=None if threshold is None else float(threshold),
        for_=entry["for"],
        window=entry.get("window"),
        severity=entry["severity"],
        priority=entry["priority"],
        service=entry["service"],
        exporter=entry.get("exporter"),
        muted_by=tuple(entry.get("muted_by", ())),
        summary=MappingProxyType(entry["summary"]),
        description=MappingProxyType(entry["description"]),
    )


@cache
def alerts() -> Mapping[str, Alert]:
    """Every alert by name, in the order of alerts.yaml."""
    text = (files("techsapo_ops.catalogue") / "alerts.yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _alert(name, entry) for name, entry in yaml.safe_load(text).items()})

"""Clients for the HTTP APIs of Prometheus (v1) and Alertmanager (v2).

https://prometheus.io/docs/prometheus/latest/querying/api/
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from techsapo_ops.adapters.http import Answer, fetch
from techsapo_ops.errors import OpsError

_LIMIT = 16 * 1024 * 1024


class ApiError(OpsError):
    """An API answered, but with an error or with something else than its JSON."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query: its labels, the value and its time (Unix seconds)."""

    labels: Mapping[str, str]
    value: float
    time: float


@dataclass(frozen=True, slots=True)
class Target:
    """One active scrape target; `health` is up, down or unknown (not yet scraped)."""

    job: str
    instance: str
    url: str
    health: str
    error: str
    scrape_seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as Prometheus runs it: `seconds` is its `for`; recording rules have neither that nor texts."""

    name: str
    query: str
    seconds: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as Alertmanager holds it; `state` is active, suppressed or unprocessed."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    receivers: tuple[str, ...]
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class AlertmanagerStatus:
    """Version, loaded configuration (YAML) and cluster state (`disabled` without clustering)."""

    version: str
    config: str
    cluster: str


class Prometheus:
    """The API at `url`; every call is over within `timeout` seconds.

    Each method raises Unreachable when nobody answers and ApiError when the answer is an error.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout

    def ready(self) -> bool:
        """Whether it serves queries; false while it still replays its write-ahead log."""
        return fetch(f"{self.url}/-/ready", timeout=self.timeout).ok

    def query(self, expression: str) -> tuple[Sample, ...]:
        """Evaluate a PromQL expression now; a scalar comes back as one sample without labels."""
        data = self._get("query", {"query": expression})
        if data["resultType"] in {"scalar", "string"}:
            time, value = data["result"]
            return (Sample({}, _number(value), float(time)),)
        if data["resultType"] != "vector":
            raise ApiError(f"{expression!r} is a {data['resultType']}", "ask for an instant vector")
        return tuple(
            Sample(series["metric"], _number(series["value"][1]), float(series["value"][0]))
            for series in data["result"]
        )

    def targets(self) -> tuple[Target, ...]:
        """The active targets, in the order of their job and instance."""
        found = [
            Target(
                job=target["labels"].get("job", target.get("scrapePool", "")),
                instance=target["labels"].get("instance", ""),
                url=target["scrapeUrl"],
                health=target["health"],
                error=target.get("lastError", ""),
                scrape_seconds=float(target.get("lastScrapeDuration", 0.0)),
            )
            for target in self._get("targets", {"state": "active"})["activeTargets"]
        ]
        return tuple(sorted(found, key=lambda target: (target.job, target.instance)))

    def config(self) -> str:
        """The loaded configuration as YAML; Prometheus writes it with defaults added."""
        return str(self._get("status/config", {})["yaml"])

    def rules(self) -> Mapping[str, tuple[Rule, ...]]:
        """The loaded rules by name of their group, in the order in which each group runs them."""
        return {
            group["name"]: tuple(
                Rule(
                    rule["name"],
                    rule["query"],
                    float(rule.get("duration", 0.0)),
                    rule.get("labels") or {},
                    rule.get("annotations") or {},
                )
                for rule in group["rules"]
            )
            for group in self._get("rules", {})["groups"]
        }

    def formatted(self, expression: str) -> str:
        """A PromQL expression as Prometheus writes it: one spelling for all that mean the same."""
        url = f"{self.url}/api/v1/format_query"
        document = _document(fetch(url, timeout=self.timeout, params={"query": expression}))
        if not isinstance(document, dict) or not isinstance(document.get("data"), str):
            raise ApiError(f"{url}: {expression!r} can't be formatted")
        return str(document["data"])

    def reloaded(self) -> bool | None:
        """Whether its last reload succeeded; None where it does not say."""
        return _reloaded(self.url, "prometheus", self.timeout)

    def _get(self, path: str, params: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{path}"
        answer = fetch(url, timeout=self.timeout, params=params, limit=_LIMIT)
        document = _document(answer)
        if not isinstance(document, dict) or document.get("status") != "success":
            error = document.get("error", "") if isinstance(document, dict) else ""
            raise ApiError(f"{url}: HTTP {answer.status}: {error or 'not an answer of Prometheus'}")
        return _data(answer, document)


class Alertmanager:
    """The API at `url`; every call is over within `timeout` seconds and raises as Prometheus's do."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout

    def ready(self) -> bool:
        """Whether it takes alerts."""
        return fetch(f"{self.url}/-/ready", timeout=self.timeout).ok

    def alerts(self) -> tuple[Alert, ...]:
        """All alerts that it holds, silenced and inhibited ones too."""
        answer, document = self._get("alerts")
        if not isinstance(document, list):
            raise ApiError(f"{answer.url}: not an answer of Alertmanager")
        return tuple(
            Alert(
                labels=alert["labels"],
                annotations=alert["annotations"],
                state=alert["status"]["state"],
                receivers=tuple(receiver["name"] for receiver in alert["receivers"]),
                starts_at=datetime.fromisoformat(alert["startsAt"]).astimezone(UTC),
            )
            for alert in document
        )

    def status(self) -> AlertmanagerStatus:
        """Version, configuration and cluster state."""
        answer, document = self._get("status")
        if not isinstance(document, dict) or "versionInfo" not in document:
            raise ApiError(f"{answer.url}: not an answer of Alertmanager")
        return AlertmanagerStatus(
            version=document["versionInfo"]["version"],
            config=document["config"]["original"],
            cluster=document["cluster"]["status"],
        )

    def reloaded(self) -> bool | None:
        """Whether its last reload succeeded; None where it does not say."""
        return _reloaded(self.url, "alertmanager", self.timeout)

    def _get(self, path: str) -> tuple[Answer, Any]:
        answer = fetch(f"{self.url}/api/v2/{path}", timeout=self.timeout, limit=_LIMIT)
        if not answer.ok:
            raise ApiError(f"{answer.url}: HTTP {answer.status}: {answer.text[:200].strip()}")
        return answer, _document(answer)


def _reloaded(url: str, name: str, timeout: float) -> bool | None:
    text = fetch(f"{url}/metrics", timeout=timeout, limit=_LIMIT).text
    found = re.search(rf"^{name}_config_last_reload_successful (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1]) == 1.0


def _document(answer: Answer) -> Any:
    if answer.truncated:
        raise ApiError(f"{answer.url}: the answer is longer than {_LIMIT // 1024**2} MB")
    try:
        return json.loads(answer.body)
    except ValueError:
        raise ApiError(
            f"{answer.url}: HTTP {answer.status} with something that is not JSON",
            "does another program listen on this port? `techsapo doctor` shows which",
        ) from None


def _data(answer: Answer, document: Mapping[str, Any]) -> Any:
    if not isinstance(document.get("data"), dict):
        raise ApiError(f"{answer.url}: not an answer of Prometheus")
    return document["data"]


def _number(text: str) -> float:
    """A sample value; Prometheus writes +Inf, -Inf and NaN."""
    return math.inf if text == "+Inf" else float(text)

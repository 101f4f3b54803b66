"""Client for the HTTP API of Prometheus (v1): https://prometheus.io/docs/prometheus/latest/querying/api/"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from techsapo_ops.adapters.http import Answer
from techsapo_ops.adapters.monitoring_server import (
    ApiError,
    LastReload,
    MonitoringServer,
    document_of,
    own_metric,
)
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.messages import msg

# promtool shows no page of metrics; it packs one into an archive in the folder where it runs.
_METRICS = 'promtool debug metrics "$1" >&2 && tar -xzOf debug.tar.gz metrics.txt && rm debug.tar.gz'


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query: its labels, the value and its time (Unix seconds)."""

    labels: Mapping[str, str]
    value: float
    time: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query: its labels, and its value by time (Unix seconds)."""

    labels: Mapping[str, str]
    values: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert as Prometheus evaluates it; `state` is pending or firing."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """One active scrape target; `health` is up, down or unknown (not yet scraped)."""

    job: str
    instance: str
    url: str
    health: str
    error: str
    scrape_seconds: float
    interval_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as Prometheus runs it: `seconds` is its `for`; recording rules have neither that nor texts."""

    name: str
    query: str
    seconds: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Prometheus(MonitoringServer):
    """Its API: https://prometheus.io/docs/prometheus/latest/querying/api/"""

    def query(self, expression: str) -> tuple[Sample, ...]:
        """Evaluate a PromQL expression now; a scalar comes back as one sample without labels."""
        data = self._get("query", {"query": expression})
        if data["resultType"] in {"scalar", "string"}:
            time, value = data["result"]
            return (Sample({}, _number(value), float(time)),)
        if data["resultType"] != "vector":
            raise ApiError(
                msg("{expression} returns a {data}", expression=repr(expression), data=data["resultType"]),
                msg("use an expression that returns an instant vector"),
            )
        return vector(data["result"])

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        """Evaluate a PromQL expression every `step` seconds from `start` to `end` (Unix seconds)."""
        parameters = {"query": expression, "start": f"{start}", "end": f"{end}", "step": f"{step}"}
        return tuple(
            Series(series["metric"], {float(when): _number(value) for when, value in series["values"]})
            for series in self._get("query_range", parameters)["result"]
        )

    def alerts(self) -> tuple[Firing, ...]:
        """The alerts whose condition holds, long enough (firing) or not yet (pending); the oldest first."""
        firing = [
            Firing(
                labels=alert["labels"],
                annotations=alert.get("annotations") or {},
                state=alert["state"],
                since=datetime.fromisoformat(alert["activeAt"]).astimezone(UTC),
            )
            for alert in self._get("alerts", {})["alerts"]
        ]
        return tuple(sorted(firing, key=lambda alert: alert.since))

    def targets(self) -> tuple[Target, ...]:
        """The active targets, in the order of their job and instance."""
        targets = [
            Target(
                job=target["labels"].get("job", target.get("scrapePool", "")),
                instance=target["labels"].get("instance", ""),
                url=target["scrapeUrl"],
                health=target["health"],
                error=target.get("lastError", ""),
                scrape_seconds=float(target.get("lastScrapeDuration", 0.0)),
                interval_seconds=_seconds(target.get("scrapeInterval", "")),
            )
            for target in self._get("targets", {"state": "active"})["activeTargets"]
        ]
        return tuple(sorted(targets, key=lambda target: (target.job, target.instance)))

    def started(self) -> datetime:
        """When it was started."""
        return datetime.fromisoformat(self._get("status/runtimeinfo", {})["startTime"])

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
        answer = self.fetch("api/v1/format_query", {"query": expression})
        document = document_of(answer)
        if not isinstance(document, dict) or not isinstance(document.get("data"), str):
            raise ApiError(
                msg("{url}: {expression} can't be formatted", url=answer.url, expression=repr(expression))
            )
        return str(document["data"])

    def reloaded(self) -> LastReload | None:
        """What it tells of its last reload; None where it does not."""
        return self.last_reload("prometheus_config")

    def version(self) -> str:
        """Its version, such as 2.53.3."""
        return str(self._get("status/buildinfo", {})["version"])

    def snapshot(self) -> str:
        """Make a snapshot of all samples, the newest too; returns its folder's name below `snapshots`.

        Needs `--web.enable-admin-api`:
        https://prometheus.io/docs/prometheus/latest/querying/api/#snapshot
        """
        return str(_checked(self.send("api/v1/admin/tsdb/snapshot"))["name"])

    def _get(self, path: str, params: Mapping[str, str]) -> Any:
        return _checked(self.fetch(f"api/v1/{path}", params))


def _checked(answer: Answer) -> Any:
    """The data of `answer`. Raises ApiError where it says no success."""
    document = document_of(answer)
    if not isinstance(document, dict) or document.get("status") != "success":
        error = document.get("error", "") if isinstance(document, dict) else ""
        raise ApiError(
            msg(
                "{url}: HTTP {status}: {error}",
                url=answer.url,
                status=answer.status,
                error=error or msg("not an answer from Prometheus"),
            )
        )
    if not isinstance(document.get("data"), dict):
        raise ApiError(msg("{url}: not an answer from Prometheus", url=answer.url))
    return document["data"]


def vector(result: Sequence[Mapping[str, Any]]) -> tuple[Sample, ...]:
    """The samples of an instant vector, out of its JSON."""
    return tuple(
        Sample(series["metric"], _number(series["value"][1]), float(series["value"][0])) for series in result
    )


def _seconds(duration: str) -> float:
    """A duration of Prometheus's, such as 1m30s, in seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    return sum(float(count) * units[unit] for count, unit in re.findall(r"(\d+)(ms|[smhd])", duration))


def _number(text: str) -> float:
    """A sample value; Prometheus writes +Inf, -Inf and NaN."""
    return math.inf if text == "+Inf" else float(text)


class Promtool:
    """The Prometheus at `url`, where `run` runs a command. Each method raises ApiError where it fails.

    promtool gives a query two minutes.
    """

    def __init__(self, url: str, run: Callable[[Command], Completed]) -> None:
        self._url = url.rstrip("/")
        self._run = run

    def query(self, expression: str) -> tuple[Sample, ...]:
        """Evaluate a PromQL expression, whose value is an instant vector, now."""
        said = self._said("promtool", "query", "instant", "-o", "json", self._url, expression)
        try:
            return vector(json.loads(said))
        except (ValueError, TypeError, KeyError):
            raise ApiError(
                msg(
                    "{url}: promtool answers {said} to {expression}",
                    url=self._url,
                    said=repr(said[:200]),
                    expression=repr(expression),
                )
            ) from None

    def own(self, metric: str) -> float | None:
        """The value of a metric without labels that Prometheus has of itself; None where it has none."""
        return own_metric(self._said("sh", "-c", _METRICS, "sh", self._url), metric)

    def _said(self, *argv: str) -> str:
        done = self._run(Command(argv))
        if done.code != 0:
            raise ApiError(
                msg(
                    "{url}: {output}",
                    url=self._url,
                    output=done.output.removeprefix("query error: ") or msg("promtool failed"),
                )
            )
        return done.stdout.decode()

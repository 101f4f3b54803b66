"""The app's metrics, built from catalogue/metrics.yaml."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.metrics_core import UntypedMetricFamily
from prometheus_client.registry import Collector

from techsapo_ops.catalogue.metrics import Metric, metrics
from techsapo_ops.serve.windows import Mean, Quantiles
from techsapo_ops.spec.models.app import Budget
from techsapo_ops.wallbounce.events import (
    Abandoned,
    Answered,
    Cancelled,
    Event,
    Failed,
    Graded,
    Revised,
    Settled,
)
from techsapo_ops.wallbounce.model import Answer, FailureKind, Grades, TaskType
from techsapo_ops.wallbounce.provider import Provider

_STATUS = {FailureKind.TIMEOUT: "timeout", FailureKind.RATE_LIMITED: "rate_limited"}
Sample = tuple[Mapping[str, str], float]


@dataclass(slots=True)
class Spent:
    """What this instance has spent since its start, in USD."""

    total: float = 0.0
    providers: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, provider: str, usd: float) -> None:
        """Book `usd` to `provider`."""
        self.total += usd
        self.providers[provider] += usd


class Metrics:
    """Every series of the catalogue in a registry of its own.

    It hears the events of analyses, and is told of HTTP requests and cache look-ups. Callbacks give what
    is read at scrape time: by metric name, a function to label sets and values, or to nothing.
    """

    def __init__(self, version: str, providers: Sequence[Provider], budget: Budget) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._typed: dict[str, Counter | Gauge | Histogram] = {}
        self._callbacks: dict[str, Callable[[], Iterable[Sample]]] = {}
        self._success, self._confidence, self._consensus = Mean(), Mean(), Mean()
        self._by_provider: dict[str, Mean] = {p.name: Mean() for p in providers}
        self._http_times = Quantiles()
        self._spent = Spent()
        self._budget = budget
        for metric in metrics().values():
            self._build(metric)
        self.registry.register(_Untyped(self._callbacks))
        ProcessCollector(registry=self.registry)
        self._own_callbacks()
        self._start_values(version, providers)

    def callback(self, name: str, read: Callable[[], Iterable[Sample]]) -> None:
        """Let `read` give the samples of the untyped metric `name` at each scrape."""
        if metrics()[name].kind != "untyped":
            raise KeyError(name)
        self._callbacks[name] = read

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Let `read` give the value of the gauge `name` at each scrape."""
        metric = self._typed[name]
        if not isinstance(metric, Gauge):
            raise KeyError(name)
        metric.set_function(read)

    def hear(self, event: Event) -> None:
        """Count an event of an analysis."""
        match event:
            case Answered(task_type=task, answer=reply) | Revised(task_type=task, answer=reply):
                self._paid(task, reply)
            case Graded(task_type=task, grades=reply):
                self._paid(task, reply)
            case Failed(task_type=task, failure=failure):
                status = _STATUS.get(failure.kind, "error")
                self._call(failure.provider, failure.model, status, task, failure.seconds)
                self._by_provider[failure.provider].add(0)
            case Cancelled(task_type=task, provider=provider, model=model, seconds=seconds):
                self._call(provider, model, "cancelled", task, seconds)
            case Settled(analysis=analysis):
                task, verdict = analysis.task_type, analysis.verdict
                self.ended(task, "success")
                self._histogram("techsapo_wallbounce_duration_seconds").labels(task).observe(analysis.seconds)
                self._histogram("techsapo_wallbounce_confidence").labels(task).observe(verdict.confidence)
                self._histogram("techsapo_wallbounce_consensus").labels(task).observe(verdict.consensus)
                self._confidence.add(verdict.confidence)
                self._consensus.add(verdict.consensus)
            case Abandoned(task_type=task, error=error):
                if error.code != "over_request_budget":  # refused before it began
                    self.ended(task, "error")

    def ended(self, task_type: TaskType, status: str) -> None:
        """Count an analysis that ended with `status` success or error."""
        self._counter("techsapo_wallbounce_requests_total").labels(task_type, status).inc()
        self._success.add(1 if status == "success" else 0)

    def http(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an HTTP request; `route` is a template, never a raw path. A stream has no `seconds`."""
        self._counter("techsapo_http_requests_total").labels(method, route, str(status)).inc()
        if seconds is None:
            return
        self._histogram("techsapo_http_request_duration_seconds").labels(method, route).observe(seconds)
        self._http_times.add(seconds)

    def cache(self, result: str) -> None:
        """Count a look-up in the cache: hit, miss or error."""
        self._counter("techsapo_cache_requests_total").labels(result).inc()

    def auth_failed(self, reason: str) -> None:
        """Count a request that was refused for its key."""
        self._counter("techsapo_auth_failures_total").labels(reason).inc()

    def rate_limited(self, plan: str) -> None:
        """Count a request that was refused because its key asked too often."""
        self._counter("techsapo_rate_limit_hits_total").labels(plan).inc()

    def over_budget(self, code: str) -> None:
        """Count a request that was refused for want of budget."""
        self._counter("techsapo_budget_refusals_total").labels(code).inc()

    def spent(self, provider: str, model: str, usd: float) -> None:
        """Book what a call was charged."""
        self._counter("techsapo_llm_cost_usd_total").labels(provider, model).inc(usd)
        self._spent.add(provider, usd)

    def audit(self, status: str, rows: int) -> None:
        """Count rows that were written to the audit log (success) or had to wait (error)."""
        self._counter("techsapo_audit_writes_total").labels(status).inc(rows)

    def render(self, accept: str) -> tuple[bytes, str]:
        """All samples and their content type, as text or OpenMetrics. Takes a while: call it in a thread."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _build(self, metric: Metric) -> None:
        if metric.kind == "untyped":
            self._callbacks[metric.name] = list
        elif metric.kind == "counter":
            self._typed[metric.name] = Counter(
                metric.name, metric.help, metric.labels, registry=self.registry
            )
        elif metric.kind == "gauge":
            self._typed[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
        else:
            self._typed[metric.name] = Histogram(
                metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self.registry
            )

    def _start_values(self, version: str, providers: Sequence[Provider]) -> None:
        self._gauge("techsapo_build_info").labels(version).set(1)
        for period, usd in self._limits().items():
            self._gauge("techsapo_budget_limit_usd").labels(period).set(usd)
        for provider in providers:
            self._gauge("techsapo_provider_info").labels(provider.name, provider.model, provider.kind).set(1)
        for name, typed in self._typed.items():
            entry = metrics()[name]
            if entry.kind != "counter" or not entry.labels:
                continue
            fixed = [{"provider": p.name, "model": p.model} for p in providers]
            for known in fixed if "provider" in entry.labels else [{}]:
                for labels in entry.known_children(**known):
                    typed.labels(**labels)

    def _own_callbacks(self) -> None:
        self.callback("techsapo_wallbounce_success_rate", lambda: _maybe(self._success.value()))
        self.callback("techsapo_wallbounce_avg_confidence_5m", lambda: _maybe(self._confidence.value()))
        self.callback("techsapo_wallbounce_consensus_score", lambda: _maybe(self._consensus.value()))
        self.callback("techsapo_http_p95_response_time", lambda: _maybe(self._http_times.value(0.95)))
        self.callback("techsapo_llm_success_rate_by_provider", self._provider_rates)
        self.callback("techsapo_wallbounce_cost_usd", lambda: [({}, self._spent.total)])
        self.callback(
            "techsapo_provider_cost_usd",
            lambda: [({"provider": p}, self._spent.providers.get(p, 0.0)) for p in self._by_provider],
        )

    def _provider_rates(self) -> Iterable[Sample]:
        for provider, mean in self._by_provider.items():
            for _, value in _maybe(mean.value()):
                yield {"provider": provider}, value

    def _limits(self) -> dict[str, float]:
        return {"day": self._budget.resolved_daily_usd, "month": self._budget.monthly_usd}

    def _paid(self, task: TaskType, reply: Answer | Grades) -> None:
        """Count a call that was answered, and its tokens."""
        self._call(reply.provider, reply.model, "success", task, reply.seconds)
        self._by_provider[reply.provider].add(1)
        tokens = self._counter("techsapo_llm_tokens_total")
        tokens.labels(reply.provider, reply.model, "input").inc(reply.tokens.input)
        tokens.labels(reply.provider, reply.model, "output").inc(reply.tokens.output)

    def _call(self, provider: str, model: str, status: str, task: TaskType, seconds: float) -> None:
        self._counter("techsapo_llm_requests_total").labels(provider, model, status, task).inc()
        self._histogram("techsapo_llm_request_duration_seconds").labels(provider, model).observe(seconds)

    def _counter(self, name: str) -> Counter:
        metric = self._typed[name]
        assert isinstance(metric, Counter)  # noqa: S101 - the catalogue says so, and a test goes through all
        return metric

    def _gauge(self, name: str) -> Gauge:
        metric = self._typed[name]
        assert isinstance(metric, Gauge)  # noqa: S101 - see _counter
        return metric

    def _histogram(self, name: str) -> Histogram:
        metric = self._typed[name]
        assert isinstance(metric, Histogram)  # noqa: S101 - see _counter
        return metric


class _Untyped(Collector):
    """The guide's own names, which the client's types can't carry (it appends `_total` to a counter's)."""

    def __init__(self, callbacks: Mapping[str, Callable[[], Iterable[Sample]]]) -> None:
        self._callbacks = callbacks

    def collect(self) -> Iterator[Family]:
        """One family for each name that has something to say now."""
        for name, read in self._callbacks.items():
            entry = metrics()[name]
            family = UntypedMetricFamily(name, entry.help, labels=entry.labels)
            for labels, value in read():
                family.add_metric([labels[label] for label in entry.labels], value)
            if family.samples:
                yield family


def _maybe(value: float | None) -> list[Sample]:
    return [] if value is None else [({}, value)]

"""The app's metrics: what happens, as series of catalogue/metrics.yaml."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations

from techsapo_ops.adapters.streaks import OnOperation, Operation, Streaks
from techsapo_ops.catalogue.series import ANSWERING, metrics
from techsapo_ops.serve.metrics.own_time import LoopLag
from techsapo_ops.serve.metrics.provider_health import ProviderHealth, Standing
from techsapo_ops.serve.metrics.registry import Mean, MetricRegistry, Quantiles, Sample, exemplar, only
from techsapo_ops.spec.models.app import Budget
from techsapo_ops.wallbounce.answers import Answer, Grades
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.context import Answered, Cancelled, Event, Failed, Graded, Settled
from techsapo_ops.wallbounce.providers.breaker import Breaker
from techsapo_ops.wallbounce.providers.failures import FailureKind
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.question import TaskType

_STATUS = {
    FailureKind.TIMEOUT: "timeout",
    FailureKind.RATE_LIMITED: "rate_limited",
    FailureKind.REFUSED: "refused",
    FailureKind.BAD_ANSWER: "bad_answer",
}


_COST = "techsapo_llm_cost_usd_total"
ANSWERS = ("200", "500", "502", "503", "504")
"""Statuses whose first occurrence matters: alerts on availability compare failures with all requests."""


class Metrics:
    """Hears the events of analyses, and counts requests, look-ups, refusals and operations.

    What is read at scrape time has a function: see `read` and `gauge`.
    """

    def __init__(
        self, version: str, build: str, providers: Sequence[Provider], budget: Budget, deadline: float
    ) -> None:
        """An analysis may take `deadline` seconds."""
        self._registry = known = MetricRegistry()
        self.read, self.render, self.samples = known.read, known.text, known.samples
        self.lag = LoopLag(known.counter("techsapo_event_loop_stalled_seconds_total").inc)
        self._success, self._confidence, self._consensus = Mean(), Mean(), Mean()
        self._providers = ProviderHealth(providers)
        self._http_times = Quantiles()
        self._deadline = deadline
        self._stores: dict[str, Streaks] = defaultdict(Streaks)
        self._start_at_0(providers)
        self._read_own({"version": version, "build": build}, providers, budget)

    def standing(self, provider: str) -> Standing:
        """How a provider does."""
        return self._providers.standing(provider)

    def turn(self, provider: str) -> Turn:
        """Whether it may be asked now."""
        return self._providers.standing(provider).turn

    def count(self, name: str, *labels: str) -> None:
        """Count one in the counter `name`, with these values of its labels in the catalogue's order."""
        self._registry.counter(name, *labels).inc()

    def counting(self, name: str, *labels: str) -> Callable[..., None]:
        """A function that counts one there, with further labels that it is given."""
        return partial(self.count, name, *labels)

    def gauge(self, name: str, value: Callable[[], float]) -> None:
        """Let `value` give the gauge `name`, which has no labels, at each scrape."""
        self.read(name, lambda: [({}, value())])

    def watch(self, breakers: Sequence[Breaker]) -> None:
        """Tell of these breakers, too."""
        self._providers.watch(breakers)

    def hear(self, event: Event) -> None:
        """Count an event of an analysis."""
        match event:
            case Answered(request_id=request, task_type=task, answer=reply):
                self._paid(task, reply, request)
            case Graded(request_id=request, task_type=task, grades=reply):
                self._paid(task, reply, request)
            case Failed(request_id=request, task_type=task, failure=failure, phase=phase):
                status = _STATUS.get(failure.kind, "error")
                self._call(failure.provider, failure.model, status, task, failure.seconds, request)
                self._providers.failed(failure, phase)
            case Cancelled(
                request_id=request, task_type=task, provider=provider, model=model, seconds=seconds
            ):
                self._call(provider, model, "cancelled", task, seconds, request)
            case Settled():
                self._settled(event)

    def analysed(
        self, task_type: TaskType, status: str, seconds: float, request_id: str, *, cut_off: bool = False
    ) -> None:
        """Count an analysis that ended with `status` success, error, refused or cancelled.

        Of one that was refused or cancelled the time says nothing. One that `cut_off` a provider at the end
        of a phase has used all of its time: what it saved for phases that did not come is no reserve.
        """
        self.count("techsapo_wallbounce_requests_total", task_type, status)
        if status not in ("success", "error"):
            return
        self._success.add(1 if status == "success" else 0)
        self._observe("techsapo_wallbounce_duration_seconds", seconds, request_id, task_type)
        share = max(seconds / self._deadline, 1.0 if cut_off else 0.0)
        self._observe("techsapo_wallbounce_deadline_used_ratio", share, request_id, task_type)

    def http(self, method: str, route: str, status: int, seconds: float | None, request_id: str) -> None:
        """Count an HTTP request; `route` is a template, never a raw path. A stream has no `seconds`."""
        self.count("techsapo_http_requests_total", method, route, str(status))
        if seconds is not None:
            self._observe("techsapo_http_request_duration_seconds", seconds, request_id, method, route)
            if route in ANSWERING:
                self._http_times.add(seconds)

    def answered(self, method: str, route: str, seconds: float | None, request_id: str) -> None:
        """Take note of what of the time of an answer to a user was ours; None where it was another's."""
        if seconds is not None:
            self._observe("techsapo_http_own_duration_seconds", seconds, request_id, method, route)

    def drilled(self, kind: str, status: int) -> None:
        """Count a request of a drill: get or post. It counts nowhere else."""
        self.count("techsapo_drill_requests_total", kind, "answered" if status < 400 else "failed")

    def start_route(self, method: str, route: str) -> None:
        """Start the series of a route at 0: rate() does not see what the first sample of a series holds."""
        self._registry.histogram("techsapo_http_request_duration_seconds", method, route)
        self._registry.histogram("techsapo_http_own_duration_seconds", method, route)
        self._registry.counter("techsapo_http_failed_streams_total", method, route)
        for status in ANSWERS:
            self._registry.counter("techsapo_http_requests_total", method, route, status)

    def spent(self, provider: str, model: str, usd: float) -> None:
        """Book what a call was charged."""
        self._registry.counter(_COST, provider, model).inc(usd)

    def audit_rows(self, status: str, rows: int) -> None:
        """Count rows that were written to the audit log (success) or had to wait (error)."""
        self._registry.counter("techsapo_audit_writes_total", status).inc(rows)

    def store_operations(self, use: str) -> OnOperation:
        """A function that takes note of operations on the shared store for `use`, and whether each succeeded.

        A PING proves nothing of a use, and is one of its own.
        """

        def note(operation: Operation, ok: bool) -> None:
            self._stores["ping" if operation == "ping" else use].note(operation, ok=ok)

        return note

    def _start_at_0(self, providers: Sequence[Provider]) -> None:
        known = {
            "provider": [{"provider": p.name, "model": p.model} for p in providers],
            "provider_pair": [
                {"provider_pair": _pair(a.name, b.name)} for a, b in combinations(providers, 2)
            ],
        }
        for name, entry in metrics().items():
            if entry.kind in ("counter", "histogram"):
                for fixed in next((known[label] for label in known if label in entry.labels), [{}]):
                    self._registry.start(name, **fixed)

    def _read_own(self, runs: Mapping[str, str], providers: Sequence[Provider], budget: Budget) -> None:
        health = self._providers
        limits = {"day": budget.resolved_daily_usd, "month": budget.monthly_usd}
        info = [({"provider": p.name, "model": p.model, "kind": p.kind}, 1.0) for p in providers]
        self.read("techsapo_build_info", lambda: [(runs, 1)])
        self.read("techsapo_provider_info", lambda: info)
        self.read("techsapo_budget_limit_usd", lambda: [({"period": p}, usd) for p, usd in limits.items()])
        self.read("techsapo_redis_consecutive_errors", self._store_errors)
        self.read("techsapo_provider_up", health.up)
        self.read("techsapo_provider_consecutive_failures", health.consecutive_failures)
        self.read("techsapo_provider_refusing", health.refusing)
        self.read("techsapo_llm_breaker_state", health.breaker_states)
        self.read("techsapo_llm_success_rate_by_provider", health.success)
        self.read("techsapo_wallbounce_success_rate", lambda: only(self._success.value()))
        self.read("techsapo_wallbounce_avg_confidence_5m", lambda: only(self._confidence.value()))
        self.read("techsapo_wallbounce_consensus_score", lambda: only(self._consensus.value()))
        self.read("techsapo_http_p95_response_time", lambda: only(self._http_times.value(0.95)))
        self.read("techsapo_wallbounce_cost_usd", lambda: [({}, sum(usd for _, usd in self.samples(_COST)))])
        self.read("techsapo_provider_cost_usd", self._vendor_costs)

    def _store_errors(self) -> Iterable[Sample]:
        return [
            ({"use": use, "operation": operation}, failed)
            for use, streaks in dict(self._stores).items()
            for operation, failed in streaks.counts().items()
        ]

    def _vendor_costs(self) -> Iterable[Sample]:
        costs = dict.fromkeys(self._providers.vendors(), 0.0)
        for labels, usd in self.samples(_COST):
            costs[self._providers.vendor(labels["provider"])] += usd
        return [({"provider": vendor}, usd) for vendor, usd in costs.items()]

    def _settled(self, event: Settled) -> None:
        task, verdict, request = event.analysis.task_type, event.analysis.verdict, event.request_id
        self._observe("techsapo_wallbounce_confidence", verdict.confidence, request, task)
        self._confidence.add(verdict.confidence)
        if verdict.consensus is not None:
            self._observe("techsapo_wallbounce_consensus", verdict.consensus, request, task)
            self._consensus.add(verdict.consensus)
        for pair, share in event.agreement:
            self._observe("techsapo_llm_agreement", share, request, _pair(*pair))

    def _paid(self, task: TaskType, reply: Answer | Grades, request_id: str) -> None:
        """Count a call that was answered, and its tokens."""
        self._call(reply.provider, reply.model, "success", task, reply.seconds, request_id)
        self._providers.answered(reply.provider)
        tokens = "techsapo_llm_tokens_total"
        self._registry.counter(tokens, reply.provider, reply.model, "input").inc(reply.tokens.input)
        self._registry.counter(tokens, reply.provider, reply.model, "output").inc(reply.tokens.output)

    def _call(
        self, provider: str, model: str, status: str, task: TaskType, seconds: float, request_id: str
    ) -> None:
        self.count("techsapo_llm_requests_total", provider, model, status, task)
        self._observe("techsapo_llm_request_duration_seconds", seconds, request_id, provider, model)

    def _observe(self, name: str, value: float, request_id: str, *labels: str) -> None:
        self._registry.histogram(name, *labels).observe(value, exemplar(request_id))


def _pair(first: str, second: str) -> str:
    return "|".join(sorted((first, second)))

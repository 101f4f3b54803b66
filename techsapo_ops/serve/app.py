"""The app: one instance of the orchestrator, from its options to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from techsapo_ops.adapters.imports import OTEL_HINT, OTEL_LACKING, has_otel, without
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.checks import checks_about
from techsapo_ops.catalogue.series import ANSWERING
from techsapo_ops.serve.answers.analyst import Analyst, tell_of_tiers
from techsapo_ops.serve.answers.answers import Answers, Prompts
from techsapo_ops.serve.answers.api import api_routes
from techsapo_ops.serve.answers.asking import AnswerLanguage, Asking
from techsapo_ops.serve.answers.audit_trail import AuditTrail
from techsapo_ops.serve.answers.chat import chat_routes
from techsapo_ops.serve.answers.drill import DrillAlert, drill_routes
from techsapo_ops.serve.answers.feedback import feedback_routes
from techsapo_ops.serve.answers.own_pages import OwnPages, knowledge_routes
from techsapo_ops.serve.answers.reading import Offers, reading_routes
from techsapo_ops.serve.answers.spending import open_spending
from techsapo_ops.serve.answers.stored_answers import StoredAnswers, answer_setting
from techsapo_ops.serve.http.anomalies import Anomalies
from techsapo_ops.serve.http.application import Application, add_routes
from techsapo_ops.serve.http.auth import Gate, SignIn, key_ring, sign_in_routes
from techsapo_ops.serve.http.hosts import HostNames, SameOrigin
from techsapo_ops.serve.http.idempotency import Idempotency
from techsapo_ops.serve.http.middleware import Closed, Envelope
from techsapo_ops.serve.http.proxies import Neighbours, Proxies
from techsapo_ops.serve.http.request_body import HELD, BodyLimit
from techsapo_ops.serve.http.shares import Shares
from techsapo_ops.serve.incidents.api import incident_routes
from techsapo_ops.serve.incidents.parts import open_incidents
from techsapo_ops.serve.instance import CleanUps, Instance, Lifecycle, prepare_data, read_state, this_instance
from techsapo_ops.serve.metrics import health
from techsapo_ops.serve.metrics.health import Health, probe_routes
from techsapo_ops.serve.metrics.metrics import Metrics
from techsapo_ops.serve.metrics.provider_health import ModelEnds
from techsapo_ops.serve.metrics.stream import Telemetry, live_routes, read_values, watch_keys
from techsapo_ops.serve.metrics.tracing import UNTRACED, Tracing
from techsapo_ops.serve.options import Options
from techsapo_ops.serve.pages.acknowledge_page import Door, acknowledge_routes, key_in
from techsapo_ops.serve.pages.acknowledgements import TIMEOUT, Acknowledgements
from techsapo_ops.serve.pages.charts import Charts
from techsapo_ops.serve.pages.help_pages import help_routes, runbook_routes
from techsapo_ops.serve.pages.metrics_query import query_routes
from techsapo_ops.serve.pages.pages import monitoring_routes, page_routes
from techsapo_ops.serve.pages.status_report import StatusReport
from techsapo_ops.spec.front_door import host_names
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import MAX_BODY
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stores.app_key import DrillSeal, PromptHash, Seal
from techsapo_ops.stores.audit.database import audit_server
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.labels.store import LabelStore
from techsapo_ops.stores.shared import Shared
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.providers.registry import build_registry, listed_model
from techsapo_ops.wallbounce.question import policy_of

log = structlog.get_logger()

LAST_WORDS = 0.05
"""Seconds in which requests that were cut off at the end still write their audit row."""


class App:
    """One instance. `asgi` is what a server calls; its lifespan is `start` and `stop`.

    There is nothing to reload: an instance of a changed spec is a new process, and what may change under a
    running one, API keys and the pages' thresholds, is read anew when its file has changed.
    """

    def __init__(self, options: Options) -> None:
        """Compose the instance; nothing is connected or started yet.

        One straight line, in the order in which one thing needs the other. Raises OpsError when no provider
        can be used, the folder can't be written, or a key is needed to start.
        """
        spec, auth = options.spec, options.resolved_auth()
        self.options = options
        self.lifecycle = Lifecycle()
        self.registry = registry = build_registry(spec, options.disabled)
        prepare_data(options.data)
        instance = this_instance(options.instance)
        self.metrics = metrics = Metrics(
            instance.version, instance.build, registry.usable, spec.budget,
            seconds(spec.app.limits.request_timeout),
        )  # fmt: skip
        metrics.watch(registry.breakers)

        seal = Seal(options.app_key) if options.app_key is not None else None
        self._shared = shared = Shared(
            spec,
            options.shared_ca,
            metrics.store_operations,
            seal,
            lambda use: metrics.counting("techsapo_redis_forged_total", use),
            options.sentinels,
        )
        self.audit = AuditLog(
            audit_server(spec.mysql, options.audit_members),
            options.data,
            metrics.audit_rows,
        )

        keys = key_ring(auth, options.keys_file())
        limiter = shared.limiter() if keys is not None else None
        proxies = Proxies(auth.proxies)
        anomalies = Anomalies(metrics.counting("techsapo_anomaly_requests_total"))
        self._tracing = tracing = _tracing(spec, instance, registry.usable)
        sign_in = SignIn(auth.sign_in)
        neighbours = Neighbours(auth.monitoring_networks or ())
        self._gate = gate = Gate(neighbours, keys, limiter, metrics, anomalies, sign_in)
        names = HostNames((*host_names(spec), options.instance))
        origins = SameOrigin(proxies)

        counts = spec.budget.count_simulated or not registry.simulated
        wallbounce = WallBounce(
            registry.usable,
            policy_of(spec, counts=counts),
            observers=(metrics.hear,),
            calibration=options.calibration,
            turn=lambda p: metrics.turn(p.name),
        )
        trail = AuditTrail(
            instance.name,
            self.audit,
            metrics,
            PromptHash(options.app_key),
            kept=spec.audit,
            simulated=registry.simulated,
        )
        self.spending = spending = open_spending(
            options, shared, self.audit, trail.lost, metrics.spent, counts=counts
        )
        shared.journals.life = spending.life
        self.lifecycle.at_warm.append(lambda: tell_of_tiers(wallbounce, spending))
        self.lifecycle.at_warm.append(lambda: checks_about(""))  # its tables take the first answer 8 ms
        setting = answer_setting(options, instance.build)
        own_pages = OwnPages(options.knowledge)
        answers = Answers(
            spec.app.limits,
            Shares(spec.app.limits.concurrency),
            Prompts(options.mask, spec.app.limits.max_prompt, anomalies, own_pages),
            Analyst(wallbounce, spending, spec.budget.per_request_usd, tracing),
            StoredAnswers(
                shared.answers,
                shared.lock("flight"),
                seconds(spec.wallbounce.cache_ttl),
                lambda caller: (
                    setting([p.name for p in registry.usable if metrics.turn(p.name) is not Turn.RESTING])
                    + (caller if spec.wallbounce.cache_share == "caller" else "")
                ),
                metrics.counting("techsapo_cache_requests_total"),
                shared.reuse_share,
            ),
            trail,
        )
        replying = shared.sure_lock("replying")
        idempotency = Idempotency(
            shared.replies,
            replying,
            shared.journals,
            shared.reply_share,
            metrics.counting("techsapo_taken_over_calls_total"),
        )
        asking = Asking(
            answers,
            idempotency,
            AnswerLanguage(spec.wallbounce.language, spec.locale),
        )

        self._telemetry = telemetry = Telemetry(lambda: read_values(metrics.samples), instance.name)
        self.lifecycle.at_drain.append(telemetry.broadcast.close)
        self.health = own_health = Health(
            instance,
            registry,
            metrics.standing,
            shared.answers,
            self.audit,
            self.lifecycle,
        )
        prometheus = None
        if options.prometheus is not None:
            prometheus = Prometheus(options.prometheus, timeout=TIMEOUT, login=options.prometheus_login)
        self._acknowledgements = acknowledgements = Acknowledgements.of_stack(options, prometheus)
        self._incidents = incidents = open_incidents(
            options, wallbounce, (spending, trail), prometheus, acknowledgements
        )
        report = StatusReport(own_health, prometheus, spending, self.audit, options, acknowledgements)

        sections = {p.name: spec.providers[p.name] for p in registry.usable}
        self._model_ends = model_ends = ModelEnds(sections, listed_model)
        metrics.read("techsapo_provider_model_retires_timestamp_seconds", model_ends.samples)
        if acknowledgements is not None:
            metrics.read("techsapo_alert_acknowledged", acknowledgements.samples)
        metrics.gauge("techsapo_inflight_analyses", lambda: answers.active)
        read_state(metrics, self.audit, spending)

        self._labels = labels = LabelStore(
            audit_server(spec.mysql, options.audit_members),
            options.data / "audit.sqlite",
        )
        offers = Offers(wallbounce, spec.app.limits.max_prompt, registry.simulated)
        for path in ANSWERING:
            metrics.start_route("POST", path)
        drill_alert = DrillAlert()
        metrics.read("techsapo_drill_alert_until_timestamp_seconds", drill_alert.samples)
        drills = DrillSeal(options.app_key) if options.app_key is not None else None
        # FastAPI asks of each type whether it is one of Pydantic's first version, and would import that.
        with without("pydantic.v1"):
            # Questions first: routes are tried in this order.
            routers = (
                api_routes(gate, asking),
                chat_routes(gate, asking),
                reading_routes(gate, offers, idempotency),
                knowledge_routes(gate, own_pages, options.mask),
                *feedback_routes(gate, labels),
                *incident_routes(gate, incidents.desk, incidents.questions, key_in(options.alerts_key)),
                drill_routes(drills, idempotency, self.audit, instance.name, drill_alert),
                probe_routes(gate, own_health, self.lifecycle, metrics.render),
                monitoring_routes(
                    gate,
                    Charts(prometheus, options.page_facts, incidents.marks),
                    telemetry,
                    report,
                ),
                query_routes(gate, prometheus),
            )
            pages = (
                sign_in_routes(),
                page_routes(spec.locale, keys=gate.needs_keys, people=gate.knows_people),
                runbook_routes(spec.locale, hosts=len(options.audit_members)),
                help_routes(spec.locale, options.reference),
                acknowledge_routes(
                    spec.locale,
                    Door(spec.project, key_in(options.acknowledge_key), origins, sign_in),
                    acknowledgements,
                ),
            )

        def layers(routes: ASGIApp) -> ASGIApp:
            limited = BodyLimit(routes, MAX_BODY, max(HELD, 4 * MAX_BODY))

            async def named(scope: Scope, receive: Receive, send: Send) -> None:
                if scope["type"] != "lifespan":
                    await names.check(scope, receive)
                await limited(scope, receive, send)

            envelope = Envelope(named, metrics, self.lifecycle, anomalies, proxies, tracing)
            return envelope if options.maintenance is None else Closed(envelope, options.maintenance)

        self.asgi = Application(instance.version, self._lifespan, layers)
        with without("pydantic.v1"):
            add_routes(self.asgi, routers, pages, keys=gate.needs_keys, admit=sign_in.admit)
        self.asgi.router.routes.extend(live_routes(telemetry.broadcast, gate, origins))
        self._clean_ups = CleanUps()

    async def start(self) -> None:
        """Start the audit writer and what goes on in the background. Once for each app.

        Where a step fails, those before it are undone, and its exception goes on.
        """
        try:
            self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Undo what `start` did, the last step first; without `start`, and a second time, nothing."""
        await self._clean_ups.run()

    def _start(self) -> None:
        clean_ups = self._clean_ups
        if self.options.spec.app.tracing is not None:
            clean_ups.add("traces", lambda: asyncio.to_thread(self._tracing.close))
        for name, close in self._shared.connections():
            clean_ups.add(name, close)
        clean_ups.add("providers", self.registry.close)
        self.audit.start()
        clean_ups.add("audit log", lambda: asyncio.to_thread(self.audit.close))
        clean_ups.add("requests that were cut off", lambda: asyncio.sleep(LAST_WORDS))
        clean_ups.start_task("budgets", self.spending.watch())
        clean_ups.start_task("lag of the event loop", self.metrics.lag.watch())
        clean_ups.start_task("warming of providers", self._warm())
        clean_ups.start_task("metrics stream", self._telemetry.run())
        if not self.registry.simulated:
            clean_ups.start_task("vendors' lists of models", self._model_ends.watch())
        if self._acknowledgements is not None:
            clean_ups.start_task("acknowledged alerts", self._acknowledgements.watch())
        incidents = self._incidents
        clean_ups.add("labels", lambda: asyncio.to_thread(self._labels.close))
        clean_ups.add("incidents", lambda: asyncio.to_thread(incidents.store.close))
        if incidents.runner is not None:
            clean_ups.start_task("investigations", incidents.runner.watch())
        if self._gate.needs_keys:
            clean_ups.start_task("keys of streams", watch_keys(self._telemetry.broadcast, self._gate))
        if self._shared.answers.shared:
            clean_ups.start_task("shared store", health.watch(self._shared))
        clean_ups.add("clients of the metrics stream", self._telemetry.broadcast.close)
        for name, reason in self.registry.unavailable.items():
            log.warning("Provider is not available", provider=name, reason=reason)

    async def _warm(self) -> None:
        await self.registry.warm()
        for each in self.lifecycle.at_warm:
            each()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.start()
        try:
            yield
        finally:
            await self.stop()


def _tracing(spec: Spec, instance: Instance, providers: Sequence[Provider]) -> Tracing:
    """The traces of `spec`: none where it names no collector, or where the extra `otel` is missing.

    Nothing is imported while there are none.
    """
    settings = spec.app.tracing
    if settings is None:
        return UNTRACED
    if not has_otel():
        log.warning(f"Tracing is off: {OTEL_LACKING}", hint=OTEL_HINT)
        return UNTRACED
    from techsapo_ops.adapters.otlp import span_processor
    from techsapo_ops.serve.metrics.otel_tracing import OtelTracing

    headers = {name: value.reveal() for name, value in (settings.headers or {}).items()}
    return OtelTracing(spec, instance, providers, span_processor(settings.endpoint, headers))

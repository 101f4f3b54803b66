"""Traces, as a collector gets them: one of each request, without a word of what was asked."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from collector import Collector, Seen, collecting
from instances import SSE, URL, send
from orchestrator import QUICK, make_app
from rows import each_row
from servers import free_port

from techsapo_ops.adapters import imports
from techsapo_ops.serve import app as composed
from techsapo_ops.serve.metrics import otel_tracing
from techsapo_ops.serve.metrics.logs import configure_logs
from techsapo_ops.spec.models.upkeep import Logs

SECRET = "秘密の質問 hunter2 sk-ant-api03-AAAAAAAAAAAAAAAAAAAA"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE, SPAN = PARENT.split("-")[1:3]
COUNTS = {"basic": 2, "premium": 3, "critical": 3}
STRICT = {"tiers": {name: {"providers": n, "confidence": 0.99} for name, n in COUNTS.items()}}
DOWN = {name: {**provider, "error_rate": 1} for name, provider in QUICK.items()}


def ask(
    directory: Path,
    collector: Collector | str,
    headers: Mapping[str, str] | None = None,
    *,
    paths: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
    times: int = 1,
    **sections: Any,
) -> None:
    """Ask an instance `times`, and get `paths` of it, until it has ended."""
    endpoint = collector if isinstance(collector, str) else collector.url
    own = {"tracing": {"endpoint": endpoint, **(settings or {})}, **sections.pop("app", {})}
    app = make_app(directory, app=own, **sections)
    bodies = ({"prompt": f"{SECRET} {n}", "task_type": "basic"} for n in range(times))
    named = {"X-Request-ID": "req_1", **(headers or {})}
    asked = [("POST", URL, {"json": body, "headers": named}) for body in bodies]
    for answer in send(app, *asked, *(("GET", path, {}) for path in paths))[:times]:
        assert answer.status_code in (200, 500, 502, 503), answer.text
        assert "traceparent" not in answer.headers


def children(collector: Collector, parent: Seen) -> list[Seen]:
    return [span for span in collector.spans if span.parent == parent.span_id]


def test_a_question_is_a_trace_of_request_analysis_phases_and_calls(tmp_path: Path) -> None:
    with collecting() as collector:
        ask(tmp_path, collector)
    assert collector.refused == []
    (request,) = collector.named("POST /api/v1/generate")
    assert (request.kind, request.parent, request.failed) == ("server", "", False)
    assert request.attributes == {
        "http.request.method": "POST", "http.route": "/api/v1/generate", "url.path": "/api/v1/generate",
        "url.scheme": "http", "http.response.status_code": 200, "techsapo.request_id": "req_1",
    }  # fmt: skip
    assert {name: request.resource[name] for name in ("service.name", "service.instance.id")} == {
        "service.name": "techsapo", "service.instance.id": "app-1",
    }  # fmt: skip
    (analysis,) = children(collector, request)
    assert (analysis.name, analysis.kind) == ("invoke_workflow wall-bounce", "internal")
    assert analysis.attributes["gen_ai.operation.name"] == "invoke_workflow"
    assert analysis.attributes["techsapo.outcome"] == "accepted"
    assert 0 < analysis.attributes["techsapo.confidence"] <= 1
    phases = children(collector, analysis)
    assert [phase.name for phase in phases] == ["asking", "grading"]
    assert phases[0].end <= phases[1].start
    for phase in phases:
        calls = children(collector, phase)
        assert {call.attributes["techsapo.provider"] for call in calls} == {"sim-a", "sim-b"}
        for call in calls:
            assert call.kind == "client"
            assert call.name == f"chat {call.attributes['gen_ai.request.model']}"
            told = [call.attributes[f"gen_ai.{what}.name"] for what in ("operation", "provider")]
            assert told == ["chat", "simulated"]
            assert all(call.attributes[f"gen_ai.usage.{way}_tokens"] > 0 for way in ("input", "output"))
            assert call.attributes["techsapo.phase"] == {"asking": "answer", "grading": "grade"}[phase.name]
            assert phase.start - 5_000_000 <= call.start <= call.end <= phase.end
    assert len({span.trace_id for span in collector.spans}) == 1


def test_a_bounce_and_a_step_up_are_in_the_trace(tmp_path: Path) -> None:
    wrong = {name: {**provider, "accuracy": 0.6} for name, provider in QUICK.items()}
    with collecting() as collector:
        ask(tmp_path, collector, times=8, providers=wrong, wallbounce=STRICT)
    analyses = collector.named("invoke_workflow wall-bounce")
    escalated = [name for span in analyses for name, _ in span.events]
    assert "escalation" in escalated
    asked = [len(children(collector, a)) for a in analyses]
    assert max(asked) > 2
    bounced = collector.named("bouncing")
    assert bounced
    for phase in bounced:
        assert {c.attributes["techsapo.phase"] for c in children(collector, phase)} == {"revise"}


def test_a_call_that_fails_is_marked_by_its_kind_and_not_by_its_words(tmp_path: Path) -> None:
    broken = {**QUICK, "sim-b": DOWN["sim-b"], "sim-c": {**QUICK["sim-c"], "enabled": False}}
    with collecting() as collector:
        ask(tmp_path, collector, providers=broken)
    (failed,) = (span.attributes for span in collector.spans if span.failed)
    assert (failed["techsapo.provider"], failed["error.type"]) == ("sim-b", "unavailable")
    assert all(span.status_message == "" for span in collector.spans)


@each_row("headers, status", [({}, 502), (SSE, 200)])
def test_an_analysis_without_a_verdict_and_its_request_are_marked_failed_whatever_its_status(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    with collecting() as collector:
        ask(tmp_path, collector, headers, providers=DOWN)
    (analysis,) = collector.named("invoke_workflow wall-bounce")
    (request,) = collector.named("POST /api/v1/generate")
    assert analysis.attributes["error.type"] == "providers_failed"
    assert request.attributes["http.response.status_code"] == status
    assert request.attributes["error.type"] == "502"
    assert (analysis.failed, request.failed) == (True, True)


def test_no_word_of_a_question_or_an_answer_and_no_key_is_sent(tmp_path: Path) -> None:
    with collecting(headers={"authorization": "Bearer collectors-key"}) as collector:
        ask(
            tmp_path,
            collector,
            {"Authorization": "Bearer callers-key", "Cookie": "id=callers-cookie"},
            paths=("/api/v1/keys-in-paths/sk-123?token=t0ken", "/api/v1/dashboards/secret-name"),
            settings={"headers": {"Authorization": "Bearer collectors-key"}},
        )
    assert collector.refused == []
    sent = b"".join(collector.bodies)
    assert b"POST /api/v1/generate" in sent
    for word in (SECRET, "hunter2", "callers", "collectors-key", "sk-", "t0ken", "secret-name"):
        assert word.encode() not in sent, word
    unmatched = [span for span in collector.spans if span.name == "GET"]
    assert [span.attributes["url.path"] for span in unmatched] == ["REDACTED"]
    assert "GET /api/v1/dashboards/{name}" in {span.name for span in collector.spans}


def test_what_machines_ask_for_ever_is_not_traced(tmp_path: Path) -> None:
    with collecting() as collector:
        ask(tmp_path, collector, paths=("/ping", "/health", "/api/v1/health", "/metrics"))
    assert {s.name for s in collector.spans if s.kind == "server"} == {"POST /api/v1/generate"}


def test_what_a_caller_calls_its_trace_is_linked_and_decides_nothing(tmp_path: Path) -> None:
    state = {"tracestate": "evil=" + "x" * 200}
    with collecting() as collector:
        ask(tmp_path, collector, {"traceparent": PARENT, **state})
    (request,) = collector.named("POST /api/v1/generate")
    assert request.trace_id != TRACE
    assert request.parent == ""
    assert request.links == ((TRACE, SPAN),)
    assert request.link_states == ("",)
    with collecting() as collector:
        ask(tmp_path, collector, {"traceparent": PARENT}, settings={"sample": 0})
    assert collector.spans == []


def test_a_trusted_network_continues_its_trace_and_decides_whether_it_is_recorded(tmp_path: Path) -> None:
    trusting = {"trusted_networks": ["127.0.0.0/8"], "sample": 0}
    with collecting() as collector:
        ask(tmp_path, collector, {"traceparent": PARENT}, settings=trusting)
    (request,) = collector.named("POST /api/v1/generate")
    assert (request.trace_id, request.parent, request.links) == (TRACE, SPAN, ())
    with collecting() as collector:
        proxied = {"traceparent": PARENT, "X-Forwarded-For": "203.0.113.9"}
        believing = {"auth": {"required": False, "proxies": ["127.0.0.1"]}}
        ask(tmp_path, collector, proxied, settings=trusting, app=believing)
    assert collector.spans == [], "whom the proxy speaks for is not trusted"


def test_a_traceparent_that_is_none_is_let_go(tmp_path: Path) -> None:
    zeros = f"00-{'0' * 32}-00f067aa0ba902b7-01"
    parents = ("", "nonsense", zeros, f"ff{PARENT[2:]}", f"{PARENT}é", "x" * 4000)
    with collecting() as collector:
        app = make_app(tmp_path, app={"tracing": {"endpoint": collector.url}})
        headers = ({"traceparent": given.encode("latin-1")} for given in parents)
        send(app, *(("POST", URL, {"json": {"prompt": "x"}, "headers": each}) for each in headers))
    requests = collector.named("POST /api/v1/generate")
    assert [(request.links, request.parent) for request in requests] == [((), "")] * len(parents)


def test_the_trace_is_in_the_lines_of_its_request_and_beside_its_exemplars(tmp_path: Path) -> None:
    stream = io.StringIO()
    with collecting() as collector:
        configure_logs(Logs(), "app-1", stream)
        app = make_app(tmp_path, app={"tracing": {"endpoint": collector.url}})

        asked = {"json": {"prompt": "x", "task_type": "basic"}, "headers": {"X-Request-ID": "r" * 128}}
        accept = {"headers": {"Accept": "application/openmetrics-text"}}
        exposed = send(app, ("POST", URL, asked), ("GET", "/metrics", accept))[1].text.splitlines()
    (request,) = collector.named("POST /api/v1/generate")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = {line["message"]: line for line in lines if "trace_id" in line}
    assert told["HTTP request"]["trace_id"] == request.trace_id
    assert told["HTTP request"]["span_id"] == request.span_id
    assert told["Wall-bounce analysis completed"]["trace_id"] == request.trace_id
    for metric in ("techsapo_http_request_duration_seconds", "techsapo_llm_request_duration_seconds"):
        buckets = [line for line in exposed if line.startswith(f"{metric}_bucket") and " # " in line]
        assert any(f'trace_id="{request.trace_id}"' in line for line in buckets)
    exemplars = [line.partition(" # {")[2].partition("}")[0] for line in exposed if " # {" in line]
    assert exemplars
    assert all("trace_id" in labels for labels in exemplars)
    assert max(len(re.sub('["=,]', "", labels)) for labels in exemplars) <= 128, "OpenMetrics allows no more"


TROUBLES: dict[str, dict[str, Any]] = {
    "a wrong key": {"headers": {"authorization": "another"}},
    "an error of its own": {"answer": 500},
    "a refusal": {"answer": 400},
    "a redirect": {"answer": 308, "location": "https://collector.example/v1/traces"},
}


@each_row("trouble", TROUBLES)
def test_what_a_collector_does_not_take_is_logged_and_fails_no_request(tmp_path: Path, trouble: str) -> None:
    stream = io.StringIO()
    configure_logs(Logs(), "app-1", stream)
    with collecting() as collector:
        for name, value in TROUBLES[trouble].items():
            setattr(collector, name, value)
        ask(tmp_path, collector, times=3)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if "spans batch" in line["message"]]
    assert told
    assert all(line["level"] in {"warn", "error"} for line in told)
    assert not any(SECRET in line["message"] for line in told)


def test_a_collector_that_is_away_fails_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel_tracing, "FLUSH", 0.2)
    ask(tmp_path, f"http://127.0.0.1:{free_port()}")


def test_a_collector_that_never_answers_holds_up_neither_requests_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel_tracing, "FLUSH", 0.2)
    over = threading.Event()
    with collecting() as collector:
        collector.hold = lambda: [over.wait(30), None][1]
        began = time.monotonic()
        ask(tmp_path, collector, times=8)
        over.set()
    assert time.monotonic() - began < 20


def test_without_the_extra_the_app_answers_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composed, "has_otel", lambda: False)
    stream = io.StringIO()
    configure_logs(Logs(), "app-1", stream)
    ask(tmp_path, "http://127.0.0.1:4318")
    lines = map(json.loads, stream.getvalue().splitlines())
    (line,) = [line for line in lines if "Tracing is off" in line["message"]]
    assert "techsapo-ops[otel]" in line["hint"]


def test_whether_the_extra_is_there_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert imports.has_otel()

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(imports, "find_spec", missing)
    assert not imports.has_otel()
    monkeypatch.setattr(imports, "find_spec", lambda _: None)
    assert not imports.has_otel()

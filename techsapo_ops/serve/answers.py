"""From a prompt to the answer's document: cache, analysis, audit and log."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import unicodedata
import uuid
from datetime import UTC, datetime
from typing import Any

import structlog

from techsapo_ops.adapters.audit_spool import AuditRow
from techsapo_ops.serve.parts import Parts
from techsapo_ops.serve.problems import Problem
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.language import language_of
from techsapo_ops.wallbounce.model import Analysis, AnalysisError, Failure, Language, Question, TaskType

log = structlog.get_logger()
RETRY_AFTER = 1.0
"""Seconds after which a caller may try again when this instance is at its limit."""


class Answers:
    """Answers prompts within the spec's limits."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._limits = parts.spec.app.limits
        self._timeout = seconds(self._limits.request_timeout)
        self._ttl = seconds(parts.spec.wallbounce.cache_ttl)
        self._active = 0
        parts.metrics.gauge("techsapo_inflight_analyses", lambda: self._active)

    async def answer(
        self, prompt: str, task_type: TaskType, *, request_id: str, user_id: str | None
    ) -> dict[str, Any]:
        """The answer's document (see AnswerBody). Raises Problem when there is none."""
        if not prompt.strip():
            raise Problem(422, "invalid_request", "the prompt is empty")
        if len(prompt) > self._limits.max_prompt:
            raise Problem(
                422,
                "prompt_too_long",
                f"the prompt has {len(prompt)} characters; at most {self._limits.max_prompt} are accepted",
                max_prompt=self._limits.max_prompt,
            )
        if self._active >= self._limits.concurrency:
            raise Problem(
                503,
                "overloaded",
                f"{self._active} analyses are under way already",
                retry_after=RETRY_AFTER,
            )
        self._active += 1
        record = _Record(self._parts, prompt, task_type, request_id, user_id)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._answer(record)
        except AnalysisError as error:
            record.failed(error.code, "; ".join(f"{f.provider}: {f.kind}" for f in error.failures))
            raise _problem(error) from None
        except TimeoutError:
            self._parts.metrics.ended(task_type, "error")
            record.failed("timeout", f"no verdict within {self._timeout:g} s")
            raise Problem(
                504, "timeout", f"the analysis took longer than {self._timeout:g} s", retry_after=RETRY_AFTER
            ) from None
        except asyncio.CancelledError:
            record.abandoned()
            raise
        finally:
            self._active -= 1

    async def _answer(self, record: _Record) -> dict[str, Any]:
        parts, task_type = self._parts, record.task_type
        wanted = parts.spec.wallbounce.language
        language = language_of(record.prompt) if wanted == "auto" else wanted
        key = self._key(record.prompt, task_type, language)
        found = await self._cached(key)
        if found is not None:
            document = {**found, "request_id": record.request_id, "cache": "hit", "cost_usd": 0.0}
            document["processing_ms"] = record.elapsed_ms()
            record.settled(document)
            return document
        question = Question(record.prompt, language, record.request_id)
        analysis = await parts.wallbounce.analyse(question, task_type)
        document = self._document(analysis, record)
        record.settled(document)
        if self._ttl > 0 and not analysis.failures:
            await parts.cache.set(key, json.dumps(document, ensure_ascii=False).encode(), self._ttl)
        return document

    async def _cached(self, key: str) -> dict[str, Any] | None:
        if self._ttl <= 0:
            return None
        errors = self._parts.cache.consecutive_errors
        raw = await self._parts.cache.get(key)
        failed = self._parts.cache.consecutive_errors > errors
        try:
            document = json.loads(raw) if raw is not None else None
        except ValueError:
            document, failed = None, True
        if not isinstance(document, dict):
            document = None
        self._parts.metrics.cache("error" if failed else "miss" if document is None else "hit")
        return document

    def _key(self, prompt: str, task_type: TaskType, language: Language) -> str:
        """Same key for the same question: same words, tier, language, providers and thresholds."""
        normal = " ".join(unicodedata.normalize("NFKC", prompt).split())
        rule = self._parts.wallbounce.rule(task_type)
        models = [f"{p.name}={p.kind}/{p.model}" for p in self._parts.wallbounce.chosen(task_type)]
        whole = json.dumps(
            [self._parts.version, normal, task_type, language, models, rule.confidence, rule.consensus]
        )
        return hashlib.sha256(whole.encode()).hexdigest()

    def _document(self, analysis: Analysis, record: _Record) -> dict[str, Any]:
        rule = self._parts.wallbounce.rule(analysis.task_type)
        verdict = analysis.verdict
        prices_known = all(p.price.known for p in self._parts.wallbounce.chosen(analysis.task_type))
        notes = list(verdict.notes)
        if len(analysis.answers) + len(analysis.failures) < rule.providers:
            notes.append("fewer_providers_than_the_tier_asks_for")
        if not prices_known:
            notes.append("cost_is_a_worst_case")
        return {
            "request_id": record.request_id,
            "task_type": analysis.task_type,
            "language": analysis.question.language,
            "answer": analysis.answer.text,
            "answered_by": analysis.answer.provider,
            "accepted": verdict.accepted,
            "confidence": round(verdict.confidence, 4),
            "consensus": round(verdict.consensus, 4),
            "thresholds": {"confidence": rule.confidence, "consensus": rule.consensus},
            "calibrated": False,
            "provisional": True,
            "simulated": analysis.simulated,
            "notes": notes,
            "providers": _providers(analysis),
            "cost_usd": round(analysis.cost_usd, 9),
            "processing_ms": record.elapsed_ms(),
            "cache": "miss",
        }


def _providers(analysis: Analysis) -> list[dict[str, Any]]:
    answered = [
        {
            "name": a.provider,
            "model": a.model,
            "status": "answered",
            "answer": a.text,
            "self_confidence": a.self_confidence,
            "seconds": round(a.seconds, 3),
            "cost_usd": round(a.cost_usd, 9),
            "tokens": {"input": a.tokens.input, "output": a.tokens.output},
        }
        for a in analysis.answers
    ]
    return answered + [_failed(f) for f in analysis.failures]


def _failed(failure: Failure) -> dict[str, Any]:
    return {
        "name": failure.provider,
        "model": failure.model,
        "status": "failed",
        "seconds": round(failure.seconds, 3),
        "cost_usd": 0.0,
        "error": {"kind": str(failure.kind), "message": failure.message},
    }


def _problem(error: AnalysisError) -> Problem:
    if error.code == "over_request_budget":
        return Problem(402, "over_request_budget", error.message)
    if error.code == "no_provider":
        return Problem(503, "no_provider", error.message, retry_after=error.retry_after)
    busy = all(f.kind == "rate_limited" for f in error.failures)
    return Problem(
        503 if busy else 502,
        "providers_failed",
        error.message,
        retry_after=error.retry_after,
        providers=[_failed(f) for f in error.failures],
    )


class _Record:
    """What is written down about one request, in the log and the audit log. Never the prompt itself."""

    def __init__(
        self, parts: Parts, prompt: str, task_type: TaskType, request_id: str, user_id: str | None
    ) -> None:
        self.prompt = prompt
        self.task_type: TaskType = task_type
        self.request_id = request_id
        self._parts = parts
        self._user_id = user_id
        self._time = datetime.now(UTC)
        self._started = time.perf_counter()

    def elapsed_ms(self) -> int:
        """Milliseconds since the request came."""
        return round((time.perf_counter() - self._started) * 1000)

    def settled(self, document: dict[str, Any]) -> None:
        """There is an answer: info, or warn where it is below a threshold or a provider failed."""
        for provider in document["providers"]:
            if provider["status"] == "failed" and document["cache"] == "miss":
                log.error(
                    "Provider failed",
                    **self._who(),
                    provider=provider["name"],
                    model=provider["model"],
                    kind=provider["error"]["kind"],
                    processingTime=round(provider["seconds"] * 1000),
                )
        names = [p["name"] for p in document["providers"] if p["status"] == "answered"]
        tell = log.info if document["accepted"] else log.warning
        tell(
            "Wall-bounce analysis completed",
            **self._who(),
            taskType=self.task_type,
            providers=names,
            confidence=document["confidence"],
            consensus=document["consensus"],
            accepted=document["accepted"],
            simulated=document["simulated"],
            cache=document["cache"],
            processingTime=document["processing_ms"],
            cost=document["cost_usd"],
        )
        self._audit(
            "accepted" if document["accepted"] else "below_threshold",
            providers=tuple(names),
            confidence=document["confidence"],
            consensus=document["consensus"],
            accepted=document["accepted"],
            simulated=document["simulated"],
            cache=document["cache"],
            cost_usd=document["cost_usd"],
        )

    def failed(self, code: str, detail: str) -> None:
        """There is no answer."""
        log.error(
            "Wall-bounce analysis failed",
            **self._who(),
            taskType=self.task_type,
            code=code,
            detail=detail,
            processingTime=self.elapsed_ms(),
        )
        self._audit(code)

    def abandoned(self) -> None:
        """The client went away."""
        log.info("Client gone; analysis cancelled", **self._who(), processingTime=self.elapsed_ms())
        self._audit("client_gone")

    def _who(self) -> dict[str, str]:
        return {"requestId": self.request_id, **({"userId": self._user_id} if self._user_id else {})}

    def _audit(
        self,
        status: str,
        *,
        providers: tuple[str, ...] = (),
        confidence: float | None = None,
        consensus: float | None = None,
        accepted: bool | None = None,
        simulated: bool | None = None,
        cache: str = "miss",
        cost_usd: float = 0.0,
    ) -> None:
        self._parts.audit.put(
            AuditRow(
                id=uuid.uuid4().hex,
                time=self._time,
                instance=self._parts.instance,
                request_id=self.request_id,
                user_id=self._user_id,
                task_type=self.task_type,
                prompt_hash=hashlib.sha256(self.prompt.encode(errors="surrogatepass")).hexdigest(),
                providers=providers,
                confidence=confidence,
                consensus=consensus,
                accepted=accepted,
                simulated=self._parts.registry.simulated if simulated is None else simulated,
                cache=cache,
                cost_usd=cost_usd,
                status=status,
                processing_ms=self.elapsed_ms(),
            )
        )

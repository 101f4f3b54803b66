"""From a prompt to the answer's document: cache, single flight, money, analysis, audit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.serve.auth import Caller
from techsapo_ops.serve.document import document, problem_of
from techsapo_ops.serve.flights import Flight, Flights, SharedLock
from techsapo_ops.serve.metering import Account
from techsapo_ops.serve.parts import Parts
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.progress import Told, as_document
from techsapo_ops.serve.record import Record
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.events import Observer
from techsapo_ops.wallbounce.language import Language, language_of
from techsapo_ops.wallbounce.masking import mask
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.tiers import TIERS, TaskType

RETRY_AFTER = 1.0
"""Seconds after which a caller may try again when this instance is at its limit."""

Document = dict[str, Any]


class Trip:
    """One caller's seat in an analysis: what happens on the way, and the answer's document."""

    def __init__(self, record: Record, flight: Flight[Document], first: bool) -> None:
        self._record = record
        self._flight = flight
        self._first = first

    async def events(self) -> AsyncIterator[Told]:
        """What happened from the start on, until the analysis is over."""
        async for event in self._flight.follow():
            told = as_document(event)
            if told is not None:
                yield told

    async def document(self) -> Document:
        """The answer's document (see AnswerBody). Raises Problem when there is none."""
        record = self._record
        if self._first:
            return await self._flight.result()
        try:
            shared = await self._flight.result()
        except Problem as problem:
            record.failed(problem.code, problem.detail)
            raise
        except asyncio.CancelledError:
            record.abandoned()
            raise
        own = _reused(shared, record)
        record.settled(own)
        return own


class Answers:
    """Answers prompts within the spec's limits. Identical questions under way are one analysis."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._limits = parts.spec.app.limits
        self._timeout = seconds(self._limits.request_timeout)
        self._ttl = seconds(parts.spec.wallbounce.cache_ttl)
        self._flights = Flights[Document]()
        self._lock = SharedLock(parts.link, f"{parts.spec.project}:flight:")
        self._setting = _setting(parts)
        self._active = 0
        parts.metrics.gauge("techsapo_inflight_analyses", lambda: self._active)
        parts.metrics.gauge("techsapo_inflight_analyses_limit", lambda: self._limits.concurrency)

    @asynccontextmanager
    async def asking(
        self, prompt: str, task_type: TaskType, *, request_id: str, caller: Caller
    ) -> AsyncIterator[Trip]:
        """Ask; the analysis is cancelled at the end of the block where nobody waits for it any more.

        Raises Problem for a prompt that is not accepted.
        """
        if not prompt.strip():
            raise Problem(422, "invalid_request", "the prompt is empty")
        if len(prompt) > self._limits.max_prompt:
            raise Problem(
                422,
                "prompt_too_long",
                f"the prompt has {len(prompt)} characters; at most {self._limits.max_prompt} are accepted",
                max_prompt=self._limits.max_prompt,
            )
        self._parts.anomalies.asked(prompt, request_id, caller.address)
        masked = mask(prompt).text if self._parts.spec.wallbounce.mask_prompts else prompt
        wanted = self._parts.spec.wallbounce.language
        language = language_of(prompt) if wanted == "auto" else wanted
        question = Question(masked, language, request_id)
        record = Record(self._parts, prompt, task_type, request_id, caller)
        key = self._key(masked, task_type, language)
        flight, first = self._flights.board(key, lambda f: self._fly(f, key, question, record))
        with flight.aboard():
            yield Trip(record, flight, first)

    async def answer(self, prompt: str, task_type: TaskType, *, request_id: str, caller: Caller) -> Document:
        """The answer's document (see AnswerBody). Raises Problem when there is none."""
        async with self.asking(prompt, task_type, request_id=request_id, caller=caller) as trip:
            return await trip.document()

    async def _fly(self, flight: Flight[Document], key: str, question: Question, record: Record) -> Document:
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._cached(key, count=True)
                if found is None:
                    found = await self._at_work(key, question, record, flight.tell)
                else:
                    found = _reused(found, record)
        except AnalysisError as error:
            record.failed(error.code, "; ".join(f"{f.provider}: {f.kind}" for f in error.failures))
            raise problem_of(error) from None
        except Problem as problem:
            record.failed(problem.code, problem.detail)
            raise
        except TimeoutError:
            self._parts.metrics.ended(record.task_type, "error")
            record.failed("timeout", f"no verdict within {self._timeout:g} s")
            raise Problem(
                504, "timeout", f"the analysis took longer than {self._timeout:g} s", retry_after=RETRY_AFTER
            ) from None
        except asyncio.CancelledError:
            record.abandoned()
            raise
        record.settled(found)
        return found

    async def _at_work(self, key: str, question: Question, record: Record, hear: Observer) -> Document:
        """The document that this instance, or another one that is at it already, makes."""
        if self._active >= self._limits.concurrency:
            raise Problem(
                503,
                "overloaded",
                f"{self._active} analyses are under way already",
                retry_after=RETRY_AFTER,
            )
        self._active += 1
        try:
            if self._ttl <= 0:
                return await self._analysed(key, question, record, hear)
            made, here = await self._lock.run(
                key,
                lambda: self._cached(key, count=False),
                lambda: self._analysed(key, question, record, hear),
            )
        finally:
            self._active -= 1
        return made if here else _reused(made, record)

    async def _analysed(self, key: str, question: Question, record: Record, hear: Observer) -> Document:
        parts, task_type = self._parts, record.task_type
        account = record.account = Account.of(parts.spending, record.caller.key, record.request_id)
        worst = parts.wallbounce.worst_case(question, task_type)
        limit = parts.spec.budget.per_request_usd
        try:
            if limit is None or worst <= limit:  # else the analysis refuses, before it spends anything
                await account.open(worst)
            analysis: Analysis = await parts.wallbounce.analyse(question, task_type, payer=account, hear=hear)
        finally:
            await asyncio.shield(account.close())
        made = document(analysis, parts.wallbounce, record.request_id, account)
        made["processing_ms"] = record.elapsed_ms()
        if self._ttl > 0 and not analysis.failures:
            await parts.cache.set(key, dump(made), self._ttl)
        return made

    async def _cached(self, key: str, *, count: bool) -> Document | None:
        if self._ttl <= 0:
            return None
        errors = self._parts.cache.consecutive_errors
        raw = await self._parts.cache.get(key)
        failed = self._parts.cache.consecutive_errors > errors
        try:
            found = load(raw) if raw is not None else None
        except ValueError:
            found, failed = None, True
        if not isinstance(found, dict):
            found = None
        if count:
            self._parts.metrics.cache("error" if failed else "miss" if found is None else "hit")
        return found

    def _key(self, prompt: str, task_type: TaskType, language: Language) -> str:
        """Same key for the same question: same words, tier, language, providers and thresholds."""
        normal = " ".join(unicodedata.normalize("NFKC", prompt).split())
        whole = json.dumps([normal, task_type, language]) + self._setting
        return hashlib.sha256(whole.encode()).hexdigest()


def _setting(parts: Parts) -> str:
    """What answers depend on beside the question: version, providers, thresholds and calibration.

    All tiers and providers: an analysis may step up to those above its own.
    """
    tiers = [[r.providers, r.confidence, r.consensus] for r in map(parts.wallbounce.rule, TIERS)]
    models = [f"{p.name}={p.kind}/{p.model}" for p in parts.registry.usable]
    return json.dumps([parts.version, models, tiers, parts.wallbounce.calibration.key])


def _reused(shared: Document, record: Record) -> Document:
    """`shared` as the answer to another request, which costs nothing."""
    own = {"request_id": record.request_id, "cache": "hit", "cost_usd": 0.0}
    return {**shared, **own, "processing_ms": record.elapsed_ms()}

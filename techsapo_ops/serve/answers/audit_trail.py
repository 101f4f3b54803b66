"""What is written down about each request, in the log and the audit log."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import structlog

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.masking.masker import mask
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.answer_body import failed_provider
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.answers.spending import LostReservation
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.idempotency import RequestMemory
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.metrics.metrics import Metrics
from techsapo_ops.spec.models.app import Audit
from techsapo_ops.stores.app_key import PromptHash
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.wallbounce.context import VendorWait
from techsapo_ops.wallbounce.providers.failures import NOT_ITS_OWN, Failure
from techsapo_ops.wallbounce.question import TaskType

log = structlog.get_logger()

RETRY_AFTER = 10.0
"""Seconds after which a disk may have room again."""
OUT_OF_BUDGET = frozenset({"budget_exhausted", "budget_reserved", "over_request_budget"})


REFUSED = OUT_OF_BUDGET | {"key_busy", "overloaded", "unconfirmed"}
"""Why a question is refused before anybody is asked."""
_ASKERS_OWN = OUT_OF_BUDGET | {"key_busy"}
"""Of these the reasons that are no failure of ours: there is no money for it, or the key asks too much."""


STORED_WITHIN = 30.0
"""Seconds in which a row is on disk, or its answer is not given."""
_VERDICT = ("confidence", "consensus", "accepted", "simulated")
"""Of an answer's document, in the log and in its row."""
_COLUMN = 65_000
"""Bytes that a TEXT column takes, and some to spare."""
_ECHO = 16
"""Characters in a row that a vendor's words and the question share by no chance."""


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Writes down the requests of one instance, for which `simulated` providers answer or real ones.

    Prompts and answers are in no log, and in the audit log masked or not at all, as `kept` says.
    """

    instance: str
    audit: AuditLog
    metrics: Metrics
    prompt_hash: PromptHash
    kept: Audit
    simulated: bool

    def begin(self, prompt: str, task_type: TaskType, request_id: str, caller: Caller) -> AuditedRequest:
        """A request that came just now."""
        wait = VendorWait(self.metrics.lag.running)
        return AuditedRequest(self, prompt, task_type, request_id, caller, wait)

    def investigated(
        self,
        account: Account,
        request_id: str,
        status: str,
        *,
        key_id: str | None,
        user: str | None = None,
    ) -> None:
        """Write down what an investigation cost, by an API key or a purse of its own."""
        if account.calls:
            self.audit.put(
                AuditRow(
                    id=uuid.uuid4().hex,
                    time=datetime.now(UTC),
                    instance=self.instance,
                    request_id=request_id,
                    providers=tuple(dict.fromkeys(call.provider for call in account.calls)),
                    simulated=self.simulated,
                    cost_usd=account.spent_usd,
                    status=status,
                    user_id=user,
                    key_id=key_id,
                    calls=tuple(account.calls),
                )
            )

    def lost(self, lost: LostReservation) -> None:
        """Write down a request whose instance died: of it only what it may have cost is known."""
        self.audit.put(
            AuditRow(
                id=uuid.uuid4().hex,
                time=lost.time,
                instance=self.instance,
                request_id=lost.request_id,
                cost_usd=lost.usd,
                status="instance_died",
                key_id=lost.key or None,
            )
        )


@dataclass(slots=True)
class AuditedRequest:
    """One request, from its coming to its end."""

    trail: AuditTrail
    prompt: str
    task_type: TaskType
    request_id: str
    caller: Caller
    wait: VendorWait
    """How long its analysis waits for vendors, and whether for one of them as long as it may."""
    memory: RequestMemory | None = None
    """By which another instance could go on with it, or this one does; None without an Idempotency-Key."""
    account: Account | None = None
    masked: Mapping[str, int] = field(default_factory=dict)
    """What was masked in its prompt before it left for the vendors."""
    sources: tuple[str, ...] = ()
    """The team's own files of which a part stands in its question."""
    stored: Future[bool] | None = None
    """Whether its row is on disk, where answers wait for that."""
    joined: bool = False
    """Whether it waits for the analysis of another request, which that one counts."""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=perf_counter)

    def elapsed_ms(self) -> int:
        """Milliseconds since the request came."""
        return round((perf_counter() - self.started) * 1000)

    def settled(self, answer: Document) -> None:
        """There is an answer: info, or warn where it is below a threshold or a provider failed."""
        if answer["cache"] == "miss":
            self._log_failures(answer["providers"])
            self._count("success")
        names = [p["name"] for p in answer["providers"] if p["status"] == "answered"]
        tell = log.info if answer["accepted"] else log.warning
        tell(
            msg("Wall-bounce analysis completed"),
            **self._who(),
            taskType=self.task_type,
            providers=names,
            **{name: answer[name] for name in (*_VERDICT, "cache")},
            processingTime=self.elapsed_ms(),
            cost=answer["cost_usd"],
            **({"sources": self.sources} if self.sources else {}),
        )
        status = "accepted" if answer["accepted"] else "below_threshold"
        self._audit("refused" if answer["outcome"] == "refused" else status, answer, tuple(names))

    async def written(self) -> None:
        """Wait until no power cut takes its row.

        Raises Problem where neither disk nor database takes it: then there is no answer. What the analysis
        found is stored, and costs nothing when it is asked again.
        """
        await on_disk(self.stored, self.request_id)

    def failed(self, code: str, detail: str, failures: Sequence[Failure] = ()) -> None:
        """There is no answer; `failures` are those of the providers that were asked."""
        self._log_failures([failed_provider(failure, failure.cost_usd) for failure in failures])
        log.error(
            "Wall-bounce analysis failed",
            **self._who(),
            taskType=self.task_type,
            code=code,
            detail=detail,
            processingTime=self.elapsed_ms(),
            **({"refused": code} if code in REFUSED else {}),
        )
        not_ours = bool(failures) and all(failure.cause in NOT_ITS_OWN for failure in failures)
        self._count("refused" if code in _ASKERS_OWN or not_ours else "error")
        self._audit(code)

    def abandoned(self) -> None:
        """The client went away."""
        log.info("Client gone; analysis cancelled", **self._who(), processingTime=self.elapsed_ms())
        self._count("cancelled")
        self._audit("client_gone")

    def _count(self, status: str) -> None:
        """Count the analysis, which ended so, whatever carries its answer. A kept answer is none."""
        if not self.joined:
            taken = perf_counter() - self.started
            self.trail.metrics.analysed(
                self.task_type, status, taken, self.request_id, cut_off=self.wait.cut_off
            )

    def _log_failures(self, providers: Sequence[Document]) -> None:
        for provider in providers:
            if (error := provider.get("error")) is not None:
                log.error(
                    "Provider failed",
                    **self._who(),
                    provider=provider["name"],
                    model=provider["model"],
                    kind=error["kind"],
                    cause=error["cause"],
                    detail=mask(_without(self.prompt, error["message"])),
                    processingTime=round(provider["seconds"] * 1000),
                )

    def _who(self) -> dict[str, str]:
        who = {"requestId": self.request_id}
        if self.caller.user:
            who["userId"] = self.caller.user
        if self.caller.key is not None and self.caller.claimed:
            who["claimedUserId"] = self.caller.claimed
        return who

    def _audit(self, status: str, answer: Document | None = None, providers: tuple[str, ...] = ()) -> None:
        answer = answer or {"simulated": self.trail.simulated, "cache": "miss"}
        verdict: dict[str, Any] = {name: answer.get(name) for name in _VERDICT}
        account = None if answer["cache"] == "hit" else self.account
        prompt = self.prompt
        self.stored = self.trail.audit.put(
            AuditRow(
                id=uuid.uuid4().hex,
                time=self.time,
                instance=self.trail.instance,
                request_id=self.request_id,
                user_id=self.caller.user,
                task_type=self.task_type,
                prompt_hash=self.trail.prompt_hash.of(prompt),
                providers=providers,
                **verdict,
                cache=answer["cache"],
                cost_usd=account.spent_usd if account is not None else 0.0,
                status=status,
                processing_ms=self.elapsed_ms(),
                key_id=self.caller.key.id if self.caller.key else None,
                prompt=_storable(mask(prompt)) if self.trail.kept.prompt == "masked" else None,
                claimed_user=self.caller.claimed,
                sources=self.sources,
                threshold=answer["thresholds"]["confidence"] if "thresholds" in answer else None,
                panel=_bounded(dump(answer["panel"]).decode()) if answer.get("panel") else None,
                answer=_storable(mask(answer["answer"]))
                if self.trail.kept.answers == "masked" and "answer" in answer
                else None,
                calls=tuple(account.calls) if account is not None else (),
            )
        )


async def on_disk(stored: Future[bool] | None, request_id: str) -> None:
    """Wait until the row of the future `stored`, if any, is on disk. Raises Problem."""
    if stored is None:
        return
    try:
        async with asyncio.timeout(STORED_WITHIN):
            there = await asyncio.wrap_future(stored)
    except TimeoutError:
        there = False
    if not there:
        log.error("An answer is withheld: its audit row is not on disk", requestId=request_id)
        raise Problem(
            503,
            "audit_unavailable",
            msg("the answer is ready, but its audit row can't be written to disk; ask again later"),
            retry_after=RETRY_AFTER,
        )


def _without(prompt: str, words: str) -> str:
    """The vendor's `words` without what they repeat of `prompt`, which is in no log."""
    prompt = " ".join(prompt.split())
    if not prompt:
        return words
    piece, rest, place = min(_ECHO, len(prompt)), "", 0
    while place < len(words):
        end = place + piece
        if words[place:end] not in prompt or end > len(words):
            rest += words[place]
            place += 1
            continue
        while end < len(words) and words[place : end + 1] in prompt:
            end += 1
        rest += "[…]"
        place = end
    return rest


def _storable(text: str) -> str:
    """Text that UTF-8 can hold, at most what a TEXT column takes."""
    return text.encode(errors="replace")[:_COLUMN].decode(errors="ignore")


def _bounded(record: str) -> str | None:
    """`record`, where the column takes all of it: a part of one says nothing."""
    return record if len(record.encode()) <= _COLUMN else None

"""From a prompt to the answer: cache, single flight, money, analysis, audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field

from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.masker import Masker
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.analyst import Analyst
from techsapo_ops.serve.answers.answer_body import Elsewhere, ProgressEvent, Step, as_document, problem_of
from techsapo_ops.serve.answers.audit_trail import AuditedRequest, AuditTrail
from techsapo_ops.serve.answers.own_pages import OwnPages, with_pages
from techsapo_ops.serve.answers.stored_answers import StoredAnswers
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.http.anomalies import Anomalies
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.idempotency import RequestMemory
from techsapo_ops.serve.http.problems import BROKE, Problem
from techsapo_ops.serve.http.shares import RETRY_AFTER, Shares
from techsapo_ops.spec.models.app import Limits
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stores.flights import Flight, Flights
from techsapo_ops.wallbounce.analysis import AnalysisError
from techsapo_ops.wallbounce.context import Observer, VendorWait
from techsapo_ops.wallbounce.question import Composed, Language, Passage, Question, Source, TaskType

NOTHING = {"input": 0, "output": 0}
"""Tokens of an answer that was given before."""
AT_ONCE = 1000
"""Characters of a prompt that is masked while longer ones wait for each other."""


@dataclass(frozen=True, slots=True)
class PendingAnswer:
    """An answer that one caller waits for: what happens on the way, and the answer itself."""

    request: AuditedRequest
    flight: Flight[Document, Step]
    again: Callable[[], Awaitable[Document]] | None
    """`again` asks once more, for who waits for another caller's analysis."""

    @property
    def wait(self) -> VendorWait:
        """How long its analysis waited for vendors."""
        return self.request.wait

    @property
    def elsewhere(self) -> bool:
        """Whether it waits, or waited, for what another request began, here or at another instance."""
        return self.again is not None or any(isinstance(event, Elsewhere) for event in self.flight.events)

    async def events(self) -> AsyncIterator[ProgressEvent]:
        """What happened from the start on, until the analysis is over."""
        async for event in self.flight.follow():
            progress = as_document(event)
            if progress is not None:
                yield progress

    async def answer(self) -> Document:
        """The answer. Raises Problem when there is none."""
        request = self.request
        if self.again is None:
            return await self.flight.result()
        try:
            shared = await self.flight.result()
        except Problem as problem:
            if problem.code == "key_busy":  # the other one's key, not this one's
                return await self.again()
            request.failed(problem.code, problem.detail)
            raise
        except asyncio.CancelledError:
            request.abandoned()
            raise
        except Exception:
            request.failed("internal_error", BROKE)
            raise
        own = _reused(shared, request)
        request.settled(own)
        await request.written()
        return own


class Prompts:
    """Makes questions of prompts, with the team's `own` pages about them, masked as `level` says.

    A prompt of more than `longest` characters is refused.
    """

    def __init__(self, level: MaskLevel, longest: int, anomalies: Anomalies, own: OwnPages) -> None:
        self._level = level
        self._longest = longest
        self._anomalies = anomalies
        self._own = own
        self._masking = asyncio.Lock()

    async def question(
        self, prompt: str | Composed, language: Language, request_id: str, caller: Caller
    ) -> Question:
        """The question of `prompt`. Raises Problem for one that is not accepted."""
        asked = str(prompt)
        if not asked.strip():
            raise Problem(422, "invalid_request", msg("the prompt is empty"))
        if len(asked) > self._longest:
            raise Problem(
                422,
                "prompt_too_long",
                msg(
                    "the prompt has {count} characters; at most {longest} are accepted",
                    count=len(asked),
                    longest=self._longest,
                ),
                max_prompt=self._longest,
            )
        self._anomalies.asked(asked, request_id, caller.address)
        _, pages = await self._own.about(prompt)
        masker = Masker(self._level)
        # Several long ones at once would each hold up the event loop in every turn of it.
        async with nullcontext() if len(asked) < AT_ONCE and not pages else self._masking:
            masked = await _masked(with_pages(prompt, pages), masker)
        parts = masked.parts if isinstance(masked, Composed) else ()
        sources = tuple([Source(page.file, page.heading) for page in pages])
        return Question(str(masked), language, request_id, masker, parts, sources)


async def _masked(prompt: str | Composed, masker: Masker) -> str | Composed:
    """`prompt` masked, each part by itself: no find may reach over where one ends."""
    if isinstance(prompt, str):
        return await masker.masked(prompt)
    return Composed(tuple([Passage(part.name, await masker.masked(part.text)) for part in prompt.parts]))


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers prompts within `limits`. Identical questions under way are one analysis."""

    limits: Limits
    shares: Shares
    prompts: Prompts
    analyst: Analyst
    stored: StoredAnswers
    trail: AuditTrail
    _flights: Flights[Document, Step] = field(default_factory=Flights[Document, Step])

    @property
    def active(self) -> int:
        """How many analyses are under way."""
        return self.shares.taken

    @asynccontextmanager
    async def asking(
        self,
        prompt: str | Composed,
        task_type: TaskType,
        language: Language,
        *,
        request_id: str,
        caller: Caller,
        memory: RequestMemory | None = None,
    ) -> AsyncIterator[PendingAnswer]:
        """Ask; the analysis is cancelled at the end of the block where nobody waits for it any more.

        With a `memory` another instance can go on with it, or this one does.

        Raises Problem for a prompt that is not accepted.
        """
        question = await self.prompts.question(prompt, language, request_id, caller)
        request = self.trail.begin(str(prompt), task_type, request_id, caller)
        request.masked, request.memory = question.masker.counts, memory
        request.sources = tuple(dict.fromkeys(source.file for source in question.sources))
        key = self.stored.key(question, task_type, caller.id)
        flight, first = self._flights.board(key, lambda f: self._fly(f, key, question, request))
        request.joined = not first

        async def again() -> Document:
            asking = self.asking(
                prompt, task_type, language, request_id=request_id, caller=caller, memory=memory
            )
            async with asking as pending:
                return await pending.answer()

        try:
            with flight.aboard():
                yield PendingAnswer(request, flight, None if first else again)
        finally:
            if memory is not None:  # its last line is written under the lock that its caller then gives back
                await flight.cancelled()

    async def _fly(
        self, flight: Flight[Document, Step], key: str, question: Question, request: AuditedRequest
    ) -> Document:
        timeout = seconds(self.limits.request_timeout)
        try:
            async with asyncio.timeout(timeout):
                answer = await self.stored.find(key)
                if answer is None:
                    answer = await self._at_work(key, question, request, flight)
                else:
                    answer = _reused(answer, request)
        except AnalysisError as error:
            detail = "; ".join(f"{f.provider}: {f.kind} ({f.cause})" for f in error.failures)
            request.failed(error.code, detail, error.failures)
            raise problem_of(error) from None
        except Problem as problem:
            request.failed(problem.code, problem.detail)
            raise
        except TimeoutError:
            request.failed("timeout", f"no verdict within {timeout:g} s")
            raise Problem(
                504,
                "timeout",
                msg("the analysis took longer than {timeout:g} s", timeout=timeout),
                retry_after=RETRY_AFTER,
            ) from None
        except asyncio.CancelledError:
            request.abandoned()
            raise
        except Exception:  # whoever answers the request logs it
            request.failed("internal_error", BROKE)
            raise
        request.settled(answer)
        await request.written()
        return answer

    async def _at_work(
        self, key: str, question: Question, request: AuditedRequest, flight: Flight[Document, Step]
    ) -> Document:
        """The answer that this instance, or another one that is at it already, makes."""

        def waiting() -> None:
            if not flight.events:
                flight.tell(Elsewhere())

        with self.shares.place(request.caller.key):
            made, here = await self.stored.once(
                key, lambda: self._analysed(key, question, request, flight.tell), waiting
            )
        return made if here else _reused(made, request)

    async def _analysed(
        self, key: str, question: Question, request: AuditedRequest, hear: Observer
    ) -> Document:
        made, complete = await self.analyst.analyse(question, request, hear)
        # One that began while another provider was worth asking is not what is answered now.
        if complete and self.stored.key(question, request.task_type, request.caller.id) == key:
            await self.stored.keep(key, made, request.caller.id)
        return made


def _reused(shared: Document, request: AuditedRequest) -> Document:
    """`shared` as the answer to another request, which costs nothing."""
    own = {"request_id": request.request_id, "cache": "hit", "cost_usd": 0.0, "tokens": NOTHING}
    more = {"processing_ms": request.elapsed_ms(), "masked": dict(request.masked)}
    return {**shared, **own, **more}

"""A question that a request asks: once for each Idempotency-Key, its answer whole or step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from techsapo_ops.serve.answers.answers import Answers, PendingAnswer
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.idempotency import Idempotency, RequestMemory
from techsapo_ops.serve.metrics.own_time import OwnTime
from techsapo_ops.spec.models.app import LanguageRule
from techsapo_ops.wallbounce.question import Composed, Language, TaskType, language_asked_for, language_of

VERDICT = "verdict"
"""Name of the last step, whose document is the whole reply."""
Tell = Callable[[str, dict[str, Any]], None]
"""Hears name and document of a step."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks, and what is made of the answer's document for it."""

    prompt: str | Composed
    task_type: TaskType
    language: Language
    reply: Callable[[Document], Document] = lambda answer: answer


@dataclass(frozen=True, slots=True)
class AnswerLanguage:
    """The rule of a stack whose own language is `locale`."""

    rule: LanguageRule
    locale: Language

    def of(self, wanted: Language | None, words: str, sent: Callable[[], str]) -> Language:
        """The language that a request names, or that the asker's own `words` clearly ask for.

        Else by the rule, which may want `sent`, all the text that came. A log is never the asker's words.
        """
        asked_for = wanted or language_asked_for(words)
        if asked_for is not None:
            return asked_for
        match self.rule:
            case "locale":
                return self.locale
            case "auto":
                return language_of(sent())
            case fixed:
                return fixed


class Asking:
    """Asks `answers` for requests. `language` says which one an answer is in."""

    def __init__(self, answers: Answers, idempotency: Idempotency, language: AnswerLanguage) -> None:
        self._answers = answers
        self._idempotency = idempotency
        self.language = language

    async def reply(self, request: Request, body: BaseModel, asked: Asked) -> Document:
        """The whole reply. Raises Problem where there is none."""
        return await self._once(request, body, asked, PendingAnswer.answer)

    async def follow(self, request: Request, body: BaseModel, asked: Asked, tell: Tell) -> None:
        """Tell of each step as it happens, the last one VERDICT; of a repeated Idempotency-Key that alone.

        Raises Problem where there is no answer.
        """

        async def followed(pending: PendingAnswer) -> Document:
            async for event in pending.events():
                tell(event["event"], event)
            return await pending.answer()

        tell(VERDICT, await self._once(request, body, asked, followed))

    async def _once(
        self,
        request: Request,
        body: BaseModel,
        asked: Asked,
        wait: Callable[[PendingAnswer], Awaitable[Document]],
    ) -> Document:
        caller: Caller = request.state.caller

        async def work(memory: RequestMemory | None) -> Document:
            async with self._answers.asking(
                asked.prompt,
                asked.task_type,
                asked.language,
                request_id=request.state.request_id,
                caller=caller,
                memory=memory,
            ) as pending:
                time = OwnTime.of(request.scope)
                time.wait = pending.wait
                try:
                    return asked.reply(await wait(pending))
                finally:
                    time.elsewhere = pending.elsewhere

        return await self._idempotency.once(request, caller, body, work)

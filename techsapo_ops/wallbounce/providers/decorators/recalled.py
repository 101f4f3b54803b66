"""Asks nobody for what is known: a reply that another instance got before it died."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import override

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.context import Memory
from techsapo_ops.wallbounce.examination.grades import Grades
from techsapo_ops.wallbounce.providers.asks import Ask, AskGrades, AskRevision, Reply
from techsapo_ops.wallbounce.providers.failures import ProviderError
from techsapo_ops.wallbounce.providers.provider import Decorator, Provider
from techsapo_ops.wallbounce.providers.worst_cases import worst_of_ask

_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
_GRADES: TypeAdapter[Grades] = TypeAdapter(Grades)
_APART = "\t"


class Recalled(Decorator):
    """`inner`, whose replies the analysis's memory is told of, and gives again.

    It is outside retries and money: what is recalled was paid for.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        memory = ask.context.memory
        if memory is None:
            return await self.inner.call(ask)
        call = call_of(self, ask)
        known = _known(memory, call, ask)
        if known is not None:
            return known
        await memory.asking(call, worst_of_ask(self.inner, ask))
        try:
            reply = await self.inner.call(ask)
        except ProviderError as error:
            await memory.ended(call, error.cost_usd)
            raise
        await memory.ended(call, reply.cost_usd, _written(reply))
        return reply


def call_of(provider: Provider, ask: Ask) -> str:
    """The name of a call: phase, provider, model, and a digest of all that is sent."""
    sent: list[Any] = [ask.question.text, ask.question.language]
    if isinstance(ask, AskGrades):
        sent += [[asdict(peer) for peer in ask.peers], _shown(ask.own)]
    elif isinstance(ask, AskRevision):
        sent += [[asdict(critique) for critique in ask.critiques], _shown(ask.own)]
    digest = hashlib.sha256(json.dumps(sent).encode()).hexdigest()[:32]
    return _APART.join((ask.phase, provider.name, provider.model, digest))


def parts_of(call: str) -> tuple[str, str, str]:
    """Phase, provider and model of a call by its name."""
    phase, provider, model, _ = call.split(_APART)
    return phase, provider, model


def _shown(own: Answer | None) -> list[Any] | None:
    return None if own is None else [own.text, own.root_cause, own.claims, own.commands]


def _known(memory: Memory, call: str, ask: Ask) -> Reply | None:
    value = memory.reply(call)
    if value is None:
        return None
    kind: TypeAdapter[Answer] | TypeAdapter[Grades] = _GRADES if isinstance(ask, AskGrades) else _ANSWER
    try:
        return kind.validate_python(value)
    except ValueError:  # of another version's form
        return None


def _written(reply: Reply) -> Any:
    if isinstance(reply, Grades):
        return _GRADES.dump_python(reply, mode="json")
    return _ANSWER.dump_python(reply, mode="json")

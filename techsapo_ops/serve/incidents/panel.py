"""Asks the providers of a tier about one incident, all at once, and reads what they found.

They are asked once: nobody grades another, since each claim is held to the evidence instead. The panel ends
by its deadline with what there is; who failed or was late is listed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from techsapo_ops.incidents.findings import Findings, findings_of
from techsapo_ops.incidents.question import FORM, LONGEST_REPLY, NAME, Inquiry, system_of, user_of
from techsapo_ops.incidents.rules import findings_by_rules
from techsapo_ops.masking.masker import Masker
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.wallbounce.context import AnalysisContext, Observer, Payer, nobody
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.failures import Failure, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.prices import worst_of_ask
from techsapo_ops.wallbounce.providers.provider import SIMULATED, AskForm, Provider
from techsapo_ops.wallbounce.question import Question, TaskType
from techsapo_ops.wallbounce.verdict.commands import dangerous

log = structlog.get_logger()

GRACE = 0.5
"""Seconds at most, each: for calls to end by themselves, for those that are cut off, to settle the purse."""


class Purse(Payer, Protocol):
    """The money of one investigation; `Account` is one."""

    async def open(self, usd: float) -> None:
        """Reserve `usd`. Raises Problem where no budget has room for it."""
        ...

    async def close(self) -> None:
        """Book what was spent and give the rest back."""
        ...


@dataclass(frozen=True, slots=True)
class Opinions:
    """What the members found, the rules among them; who failed; and why nobody was asked, if nobody was."""

    findings: tuple[Findings, ...]
    failures: tuple[Failure, ...] = ()
    declined: str = ""
    simulated: bool = False
    """Whether only simulated providers were asked."""


class Panel:
    """The providers that `wallbounce` would ask in `tier`; `tell` hears of their calls.

    Simulated ones are asked only where there are no others: they understand no evidence.
    """

    def __init__(self, wallbounce: WallBounce, tier: TaskType, tell: Observer = nobody) -> None:
        self._wallbounce = wallbounce
        self._tier: TaskType = tier
        self._tell = tell

    async def ask(
        self, inquiry: Inquiry, request_id: str, masker: Masker, purse: Purse, limit: float
    ) -> Opinions:
        """What each finds within `limit` seconds, at the cost of `purse`. Never raises for a provider."""
        clock = asyncio.get_running_loop().time
        grace = max(0.0, min(GRACE, limit / 10))
        until = clock() + limit - 3 * grace
        rules = findings_by_rules(inquiry)
        chosen = self._wallbounce.chosen(self._tier)
        real = [p for p in chosen if p.kind != SIMULATED]
        providers = real or list(chosen)
        if not providers:
            return Opinions((rules,), declined=msg("no provider can be asked about incidents"))
        prompt = Prompt(system_of(inquiry), user_of(inquiry), NAME, FORM, LONGEST_REPLY)
        question = Question(prompt.user, inquiry.language, request_id, masker)
        context = AnalysisContext(self._tier, self._tell, purse)
        ask = AskForm(question, prompt, context=context, limit=until - clock())
        try:
            try:
                async with asyncio.timeout_at(until):
                    await purse.open(sum(worst_of_ask(provider, ask) for provider in providers))
            except (Problem, TimeoutError) as error:
                why = error.detail if isinstance(error, Problem) else msg("the budget could not be checked")
                return Opinions((rules,), declined=why)
            ask = replace(ask, limit=max(0.0, until - clock()))
            calls = [asyncio.create_task(_call(provider, ask, inquiry)) for provider in providers]
            replies = await _by(until + grace, calls, providers, grace)
        finally:
            await asyncio.wait([asyncio.create_task(_settled(purse))], timeout=grace)
        findings = tuple(reply for reply in replies if isinstance(reply, Findings))
        return Opinions(
            (*findings, rules), tuple(r for r in replies if isinstance(r, Failure)), simulated=not real
        )


async def _call(provider: Provider, ask: AskForm, inquiry: Inquiry) -> Findings | Failure:
    try:
        reply = await provider.call(ask)
    except ProviderError as error:
        return Failure.of(provider.name, provider.model, error)
    except Exception as error:  # one provider's fault ends no investigation
        log.exception("A provider could not be asked about an incident", provider=provider.name)
        unforeseen = ProviderError(FailureKind.UNAVAILABLE, type(error).__name__)
        return Failure.of(provider.name, provider.model, unforeseen)
    text = getattr(reply, "text", "")
    findings = findings_of(provider.name, text, inquiry, lambda said: bool(dangerous(said)))
    if findings is None:
        unread = ProviderError(FailureKind.BAD_ANSWER, msg("the findings can't be read"))
        return Failure.of(provider.name, provider.model, unread)
    return findings


async def _settled(purse: Purse) -> None:
    try:
        await purse.close()
    except Exception:  # what was reserved ends by itself, at its worst case
        log.exception("The budget of an investigation could not be settled")


async def _by(
    until: float,
    calls: Sequence[asyncio.Task[Findings | Failure]],
    providers: Sequence[Provider],
    grace: float,
) -> list[Findings | Failure]:
    """What came of `calls`; those that go on at `until`, or when this is cancelled, are cut off."""
    try:
        await asyncio.wait(calls, timeout=max(0.0, until - asyncio.get_running_loop().time()))
    finally:
        late = [call for call in calls if not call.done()]
        for call in late:
            call.cancel()
        if late:
            await asyncio.wait(late, timeout=grace)
    error = ProviderError(FailureKind.TIMEOUT, msg("no findings before the investigation's deadline"))
    return [
        Failure.of(provider.name, provider.model, error)
        if call in late or call.cancelled()
        else call.result()
        for provider, call in zip(providers, calls, strict=True)
    ]

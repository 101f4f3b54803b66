"""Asks one provider small questions, to know before it is relied on that it answers, and how.

What is tried is what an analysis uses: the same call, prompt and schema. It costs money, so that each call is
given only as many tokens as what is left of the bound pays for.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from datetime import date

from techsapo_ops.catalogue.models import WARNED_DAYS
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.secret import MASK
from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.asks import Ask, AskAnswer, Reply
from techsapo_ops.wallbounce.causes import Cause, FailureKind, advice
from techsapo_ops.wallbounce.failures import ProviderError, what_to_do
from techsapo_ops.wallbounce.providers.base import secrets_of
from techsapo_ops.wallbounce.providers.kinds import listed_model
from techsapo_ops.wallbounce.providers.listed import NO_LIST
from techsapo_ops.wallbounce.tried import Check, CheckName, Outcome, Tried
from techsapo_ops.wallbounce.try_cost import (
    GRADING,
    LEAST,
    QUESTION,
    Candidate,
    rounded_up,
    sent,
    size_of,
    usd,
)

_HOPELESS = frozenset({Cause.KEY, Cause.UNREACHABLE, Cause.REGION})
"""Causes for which, told by the list of models, an answer need not be asked for."""


async def try_provider(candidate: Candidate, today: date) -> Tried:
    """Try `candidate`. What it says, fails with or keeps back is in the result; it raises nothing.

    `today` says whether a model's end is near.
    """
    return await _Trying(candidate).run(today)


@dataclass(slots=True)
class _Trying:
    candidate: Candidate
    checks: list[Check] = field(default_factory=list)
    spent: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)
    seconds: float | None = None
    speed: float | None = None
    end: date | None = None
    in_words: bool = False
    read: int | None = None
    """Tokens of input that the first answer had."""

    async def run(self, today: date) -> Tried:
        recipe = self.candidate.recipe
        if await self._listed(today) and await self._answered():
            await self._graded()
        return Tried(
            recipe.name, recipe.section.kind, recipe.section.model, tuple(self.checks), recipe.price,
            self.tokens, self.spent, self.seconds, self.speed, self.end,
        )  # fmt: skip

    async def _listed(self, today: date) -> bool:
        """Whether the vendor's list leaves hope for an answer."""
        section, known = self.candidate.recipe.section, self.candidate.end
        self.end = known.retires if known is not None else None
        listed, unread = NO_LIST, msg("no list of models is asked for")
        try:
            async with asyncio.timeout(self._limit):
                listed = await listed_model(self.candidate.name, section)
        except (TimeoutError, ProviderError) as error:
            failure = error if isinstance(error, ProviderError) else self._late()
            if failure.cause in _HOPELESS:
                self._failed("list", failure)
                return False
            unread = msg("its list of models can't be read: {message}", message=failure.message)
        if listed.retires is not None or listed.tells_ends:
            self.end = listed.retires
        if listed.exists is False:
            others = msg(", which has {others}", others=", ".join(listed.others)) if listed.others else ""
            told = msg("{model} is not in the vendor's list{others}", model=section.model, others=others)
            self._say("list", Outcome.WARNING, told, advice(Cause.MODEL).do)
        elif self.end is not None and (self.end - today).days <= WARNED_DAYS:
            successor = known.replacement if known is not None else None
            told = (
                msg("{model} was retired on {end}", model=section.model, end=self.end)
                if self.end <= today
                else msg("{model} is retired on {end}", model=section.model, end=self.end)
            )
            remedy = (
                msg("the vendor names {successor}", successor=successor)
                if successor
                else msg("choose a current model")
            )
            self._say("list", Outcome.WARNING, told, remedy)
        elif listed.exists is None:
            self._say("list", Outcome.SKIPPED, unread)
        else:
            until = msg("; it answers until {end}", end=self.end) if self.end is not None else ""
            self._say(
                "list",
                Outcome.OK,
                msg("{model} is in the vendor's list{until}", model=section.model, until=until),
            )
        return True

    async def _answered(self) -> bool:
        """Whether it answers as an analysis would ask it."""
        reply = await self._call("answer", AskAnswer(QUESTION))
        if not isinstance(reply, Answer):
            return False
        self.read = reply.tokens.input
        self.seconds = reply.seconds
        self._say("answer", Outcome.OK, msg("answered in {seconds:.1f} s", seconds=reply.seconds))
        if reply.structured:
            turned = msg("it turns the schema away; asked in words, it keeps to it")
            kept = msg("it keeps to the schema of an answer")
            self._say("schema", Outcome.OK, turned if self.in_words else kept)
        else:
            told = msg("it answers in plain words, so that claims, commands and risk are not known")
            self._say("schema", Outcome.WARNING, told, advice(Cause.SCHEMA).do)
        return True

    async def _graded(self) -> None:
        reply = await self._call("grades", GRADING)
        if reply is not None:
            self._say("grades", Outcome.OK, msg("it grades another's answer"))

    async def _call(self, name: CheckName, ask: Ask) -> Reply | None:
        """What it replies, None where that is told as a check."""
        recipe = self.candidate.recipe
        room = self.candidate.room(self.candidate.at_most - self.spent, self._input(ask))
        if room < LEAST:
            told = msg(
                "not asked: it could cost more than the {usd} of this test", usd=usd(self.candidate.at_most)
            )
            self._say(name, Outcome.SKIPPED, told, self._pays)
            return None
        longest = min(self.candidate.longest, room)
        most = recipe.price.cost(Tokens(self._input(ask), longest))
        provider = recipe.make(max_output_tokens=longest)
        try:
            async with asyncio.timeout(self._limit):
                reply = await provider.call(ask)
        except TimeoutError:
            self._failed(name, self._late(most))
            return None
        except ProviderError as error:
            if error.tokens == Tokens():  # not counted: the adapter takes a token for a byte
                error.cost_usd = min(error.cost_usd, most)
            if error.cause is Cause.CUT_OFF and longest < self.candidate.longest:
                self.spent += error.cost_usd
                told = msg(
                    "the {longest} tokens of this test were used up before the answer was whole",
                    longest=longest,
                )
                outcome = Outcome.FAILED if name == "answer" else Outcome.WARNING
                self._say(name, outcome, told, self._more(longest), error.cause)
            else:
                self._failed(name, error)
            return None
        finally:
            self.in_words = getattr(provider, "in_words", False)
            await provider.close()
        counted = reply.tokens.input != size_of(ask)
        self._book(reply, reply.cost_usd if counted else min(reply.cost_usd, most))
        return reply

    def _book(self, reply: Reply, cost_usd: float) -> None:
        self.spent += cost_usd
        new, old = reply.tokens, self.tokens
        self.tokens = Tokens(
            old.input + new.input, old.output + new.output, old.cached + new.cached,
            old.cache_written + new.cache_written, old.thinking + new.thinking,
        )  # fmt: skip
        if reply.seconds > 0 and new.output:
            self.speed = new.output / reply.seconds

    def _input(self, ask: Ask) -> int:
        """Tokens that are sent at most; of the answer's prompt it is known once it was answered."""
        most = sent(ask)
        known = self.read if isinstance(ask, AskAnswer) else None
        return most if not known else min(most, math.ceil(known * 1.1))

    @property
    def _limit(self) -> float:
        return min(self.candidate.limit, seconds(self.candidate.recipe.section.timeout))

    def _more(self, longest: int) -> str:
        """What to do where `longest` tokens were too few: the money, or the model, has set that bound."""
        if longest < self.candidate.wanted:
            return msg("{pays}; or let it think less, by a lower effort", pays=self._pays)
        return msg("let it think less, by a lower effort, or name a model that comes to an end")

    @property
    def _pays(self) -> str:
        enough = f"techsapo providers test {self.candidate.name} --at-most {rounded_up(self.candidate.whole)}"
        return msg("`{enough}` pays for all", enough=enough)

    def _late(self, cost_usd: float = 0.0) -> ProviderError:
        return ProviderError(
            FailureKind.TIMEOUT, msg("no answer within {limit:g} s", limit=self._limit), cost_usd=cost_usd
        )

    def _failed(self, name: CheckName, error: ProviderError) -> None:
        self.spent += error.cost_usd
        # A vendor's own words may say nothing to whoever does not know its API.
        what = msg("{what}: ", what=advice(error.cause).what) if error.message.startswith("HTTP ") else ""
        self._say(name, Outcome.FAILED, f"{what}{error.message}", what_to_do(error), error.cause)

    def _say(
        self, name: CheckName, outcome: Outcome, detail: str, remedy: str = "", cause: Cause | None = None
    ) -> None:
        section = self.candidate.recipe.section
        for secret in secrets_of(section) if hasattr(section, "api_key") else ():
            detail = detail.replace(secret, MASK)
        self.checks.append(Check(name, outcome, detail, remedy, cause))

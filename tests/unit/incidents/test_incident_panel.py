"""The panel ends by its deadline with what there is, lists who gave nothing, and settles its purse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import Subject
from techsapo_ops.incidents.question import Inquiry, user_of
from techsapo_ops.incidents.verdict import RULES
from techsapo_ops.masking.masker import Masker
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.incidents.panel import Opinions, Panel
from techsapo_ops.spec.models.providers import CompatibleProvider, SimulatedProvider
from techsapo_ops.wallbounce.context import Answered, Cancelled, Charge, Event, Failed
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, NotAskedError, ProviderError
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.openai import Compatible
from techsapo_ops.wallbounce.providers.provider import Price, Provider
from techsapo_ops.wallbounce.providers.simulated import Simulated
from techsapo_ops.wallbounce.question import Policy, Question, TierRule

AT = datetime(2026, 12, 1, 3, 10, tzinfo=UTC)
PIECES = (
    Piece("M1", "metrics", "prometheus", "disk of db-1 at 99 %", 8, AT, "mysql", "db-1"),
    Piece("L1", "logs", "/var/log/mysql.log", "No space left on device", 7, AT, "mysql", "db-1"),
)
INQUIRY = Inquiry(Pack(Subject(AT, "DiskAlmostFull"), PIECES, (), ()), "en", str)
CAUSE = {"cause": "The disk of db-1 is full", "service": "mysql", "evidence": ["M1", "L1"]}
SAID = json.dumps({"causes": [CAUSE], "outcome": "cause"})
SPEC = CompatibleProvider(kind="openai-compatible", model="m", base_url="http://127.0.0.1:9", attempts=1)
Script = Callable[[], Awaitable[str]]


class Model(LanguageModel):
    """A model that says what its script says; a text alone is said at once."""

    kind = "openai-compatible"

    def __init__(self, name: str, script: Script | str, *, whole: bool = True) -> None:
        super().__init__(name, SPEC, Price(1.0, 10.0))
        self._script = script
        self._whole = whole
        self.asked: list[Prompt] = []

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        self.asked.append(prompt)
        text = self._script if isinstance(self._script, str) else await self._script()
        return Completion(text, None, self._whole)

    async def warm(self) -> None:
        """Nothing to import."""

    async def close(self) -> None:
        """Nothing to give back."""


class Purse:
    """Money that remembers what becomes of it; `lacks` refuses to open, `poor` to pay for a call."""

    def __init__(self, *, lacks: bool = False, poor: bool = False) -> None:
        self.lacks, self.poor = lacks, poor
        self.booked: list[Charge] = []
        self.closed = 0

    async def open(self, usd: float) -> None:
        if self.lacks:
            raise Problem(429, "budget_exhausted", "the purse is empty")

    async def close(self) -> None:
        self.closed += 1

    async def afford(self, usd: float) -> bool:
        return False

    async def hold(self, usd: float) -> int:
        if self.poor:
            raise NotAskedError(FailureKind.REFUSED, "no money for this call", cause=Cause.BUDGET)
        return 1

    def book(self, held: int, charge: Charge) -> None:
        self.booked.append(charge)


async def never() -> str:
    """A call that does not come back."""
    await asyncio.Event().wait()
    return ""


async def stubborn() -> str:
    """A call that does not come back when it is cancelled either."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()


async def down() -> str:
    raise ProviderError(FailureKind.REFUSED, "the key was revoked", cause=Cause.KEY)


async def broken() -> str:
    raise RuntimeError("a fault of ours")


def asked(
    *members: Provider, purse: Purse | None = None, limit: float = 30.0, events: list[Event] | None = None
) -> Opinions:
    """What `members` find."""
    rule = TierRule(len(members), 0.7, 0.6)
    policy = Policy({"basic": rule, "premium": rule, "critical": rule})
    tell = (events if events is not None else []).append

    async def ask() -> Opinions:
        panel = Panel(WallBounce([*map(Guarded, members)], policy), "premium", tell)
        return await panel.ask(INQUIRY, "req-1", Masker("off"), purse or Purse(), limit)

    return asyncio.run(ask())


def names(opinions: Opinions) -> tuple[list[str], list[tuple[str, str]]]:
    """Who found something, and who failed how."""
    return (
        [found.member for found in opinions.findings],
        [(failure.provider, str(failure.kind)) for failure in opinions.failures],
    )


def test_all_are_asked_the_same_at_once_and_each_call_is_booked() -> None:
    purse, events = Purse(), list[Event]()
    models = [Model("a", SAID), Model("b", f"Here:\n```json\n{SAID}\n```")]
    assert names(asked(*models, purse=purse, events=events)) == (["a", "b", RULES], [])
    assert models[0].asked == models[1].asked
    assert models[0].asked[0].user == user_of(INQUIRY)
    assert [(charge.provider, charge.status) for charge in purse.booked] == [
        ("a", "success"),
        ("b", "success"),
    ]
    assert purse.closed == 1
    assert {type(event) for event in events} >= {Answered}


FAILING: list[tuple[str, Script | str, str]] = [
    ("is down", down, "refused"),
    ("has a fault of ours", broken, "unavailable"),
    ("says something else", "I would restart it.", "bad_answer"),
    ("says nothing", "  ", "bad_answer"),
    ("says too much", "x" * 200_000, "bad_answer"),
]


@each_row("why,script,kind", FAILING)
def test_a_provider_that_fails_is_listed_and_the_others_count(
    why: str, script: Script | str, kind: str
) -> None:
    purse = Purse()
    opinions = asked(Model("a", script), Model("b", SAID), purse=purse)
    assert names(opinions) == (["b", RULES], [("a", kind)]), why
    assert purse.closed == 1


@pytest.mark.parametrize("late", [never, stubborn])
def test_it_ends_by_its_deadline_with_what_there_is(late: Script) -> None:
    purse, events = Purse(), list[Event]()

    async def ask() -> tuple[Opinions, float]:
        rule = TierRule(2, 0.7, 0.6)
        members = [Guarded(Model("late", late)), Guarded(Model("b", SAID))]
        panel = Panel(
            WallBounce(members, Policy({"basic": rule, "premium": rule, "critical": rule})),
            "basic",
            events.append,
        )
        clock = asyncio.get_running_loop().time
        began = clock()
        opinions = await panel.ask(INQUIRY, "req-1", Masker("off"), purse, 0.3)
        took = clock() - began
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.get_coro().close()  # else the loop would wait for it
        return opinions, took

    loop = asyncio.new_event_loop()
    try:
        opinions, took = loop.run_until_complete(ask())
    finally:
        loop.close()
    assert names(opinions) == (["b", RULES], [("late", "timeout")])
    assert purse.closed == 1
    assert took < 10, "a hang, not a measurement"
    if late is never:
        assert {type(event) for event in events} & {Failed, Cancelled}
        assert sorted(charge.status for charge in purse.booked) == ["cut_off", "success"]


def test_a_server_that_is_alive_and_slow_holds_up_no_investigation() -> None:
    """It speaks as OpenAI does, says every tick that it is still thinking, and never comes to an end."""
    purse = Purse()

    async def thinks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b": still thinking\n\n")
                await writer.drain()
                await asyncio.sleep(0.01)

    async def main() -> Opinions:
        server = await asyncio.start_server(thinks, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        slow = SPEC.model_copy(update={"base_url": url, "stream": True})
        members = [Guarded(Compatible("slow", slow, Price(1.0, 10.0))), Guarded(Model("b", SAID))]
        rule = TierRule(2, 0.7, 0.6)
        policy = Policy({"basic": rule, "premium": rule, "critical": rule})
        async with server:
            try:
                return await Panel(WallBounce(members, policy), "basic").ask(
                    INQUIRY, "req-1", Masker("off"), purse, 0.5
                )
            finally:
                for member in members:
                    await member.close()

    assert names(asyncio.run(main())) == (["b", RULES], [("slow", "timeout")])
    assert purse.closed == 1


@each_row("text,read", [(SAID, True), (SAID[: SAID.index('"outcome"') - 2], True), ("I think that", False)])
def test_of_a_reply_that_is_cut_off_counts_what_is_whole(text: str, read: bool) -> None:
    opinions = asked(Model("a", text, whole=False))
    assert names(opinions) == ((["a", RULES], []) if read else ([RULES], [("a", "bad_answer")]))
    assert [failure.cause for failure in opinions.failures] == ([] if read else [Cause.CUT_OFF])


def test_an_empty_purse_asks_nobody_and_leaves_the_evidence_to_the_rules() -> None:
    model, purse = Model("a", SAID), Purse(lacks=True)
    opinions = asked(model, purse=purse)
    assert names(opinions) == ([RULES], [])
    assert (opinions.declined, model.asked, purse.closed) == ("the purse is empty", [], 1)


def test_a_call_that_the_purse_has_no_room_for_is_listed() -> None:
    model = Model("a", SAID)
    assert names(asked(model, purse=Purse(poor=True))) == ([RULES], [("a", "refused")])
    assert model.asked == []


def simulated() -> Simulated:
    return Simulated("s", SimulatedProvider(kind="simulated", latency="1ms", error_rate=0, rate_limit_rate=0))


def test_simulated_providers_alone_cite_the_evidence_and_say_that_they_are() -> None:
    opinions = asked(simulated())
    assert names(opinions) == (["s", RULES], [])
    assert opinions.simulated
    (claim,) = opinions.findings[0].claims
    assert claim.cause.startswith("(simulated) ")
    assert len({identity[0] for identity in claim.evidence}) == 2
    assert opinions.findings[0].invented == ()


def test_beside_a_model_simulated_providers_are_not_asked() -> None:
    opinions = asked(Model("a", SAID), simulated())
    assert names(opinions) == (["a", RULES], [])
    assert not opinions.simulated


def test_a_cancelled_investigation_cancels_its_calls_and_settles_its_purse() -> None:
    purse, begun = Purse(), asyncio.Event()

    async def begins() -> str:
        begun.set()
        return await never()

    async def main() -> None:
        rule = TierRule(1, 0.7, 0.6)
        policy = Policy({"basic": rule, "premium": rule, "critical": rule})
        panel = Panel(WallBounce([Guarded(Model("a", begins))], policy), "basic")
        asking = asyncio.create_task(panel.ask(INQUIRY, "req-1", Masker("off"), purse, 60.0))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert [charge.status for charge in purse.booked] == ["cut_off"]
    assert purse.closed == 1


def test_those_of_the_tier_are_asked_once_in_the_order_of_questions() -> None:
    models = [Model(name, SAID) for name in "abc"]
    rule = TierRule(2, 0.7, 0.6)
    policy = Policy({"basic": rule, "premium": rule, "critical": rule})
    wallbounce = WallBounce([*map(Guarded, models)], policy)

    async def ask() -> Any:
        return await Panel(wallbounce, "basic").ask(INQUIRY, "req-1", Masker("off"), Purse(), 30.0)

    asyncio.run(ask())
    assert [len(model.asked) for model in models] == [1, 1, 0]

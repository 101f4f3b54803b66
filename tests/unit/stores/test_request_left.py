"""What earlier attempts at a keyed question left: who has replied, and what is to be paid."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.jsons import load
from techsapo_ops.stores import request_journal as journals
from techsapo_ops.stores.locks import Held
from techsapo_ops.stores.request_journal import MOST_BYTES, Begun, Left, LostLock, RequestJournal

HEAD = {"owner": "o-1", "sent": "d", "attempts": ["first"]}


def left(**lines: Any) -> Left:
    return Left.of({name.replace("_", " "): value for name, value in lines.items()})


def test_a_call_that_was_under_way_is_paid_at_worst_and_one_that_ended_as_it_did() -> None:
    ended = {"usd": 0.25, "reply": {"text": "x"}}
    found = left(head=HEAD, begun_a_first=1.0, begun_b_first=2.0, ended_b_first=ended, ended_c_first=ended)
    assert sorted(found.unpaid, key=lambda begun: begun.call) == [
        Begun("a", 1.0, known=False),
        Begun("b", 0.25, known=True, reply={"text": "x"}),
        Begun("c", 0.25, known=True, reply={"text": "x"}),
    ]
    assert found.replies == {"b": {"text": "x"}, "c": {"text": "x"}}


def test_the_order_of_the_lines_decides_nothing() -> None:
    assert left(begun_a_first=1.0) == Left(), "without a head nobody has begun"
    found = left(head=HEAD, ended_a_first={"usd": 0.25, "reply": None}, begun_a_first=1.0)
    assert (found.unpaid, found.replies) == ((Begun("a", 0.25, known=True),), {})


def test_what_an_attempt_that_paid_for_itself_had_asked_is_known_and_not_paid_again() -> None:
    ended = {"usd": 0.25, "reply": "x"}
    found = left(head=HEAD, ended_a_before=ended, ended_b_first=ended)
    assert found.replies == {"a": "x", "b": "x"}
    assert [begun.call for begun in found.unpaid] == ["b"]


@each_row("closed, whether", [("o-1", True), ("o-0", False), (None, False)])
def test_it_is_closed_where_the_last_one_paid(closed: str | None, whether: bool) -> None:
    assert left(head=HEAD, **({} if closed is None else {"closed": closed})).closed is whether


class Store:
    """Where a journal is written: lines in memory, until its lock is another's."""

    def __init__(self) -> None:
        self.lines: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.ours = True

    async def write(self, place: tuple[str, str], held: Held, value: bytes) -> bool:
        if self.ours:
            self.lines[place[1]] = load(value)
            self.sizes[place[1]] = len(value)
        return self.ours


def journal(store: Store, before: Left | None = None) -> RequestJournal:
    held = Held("lock")
    held.token = "second00" + "0" * 24
    return RequestJournal(store, "k", held, "d", before or Left())


@each_row("carried, attempts", [(True, ["first", "second00"]), (False, ["second00"])])
def test_one_that_goes_on_pays_for_the_attempts_before_only_where_it_took_over(
    carried: bool, attempts: list[str]
) -> None:
    store = Store()
    made = journal(store, left(head=HEAD))
    asyncio.run(made.begin("o-2", {"seed": 7}, carried=carried))
    assert store.lines == {"head": {"seed": 7, "owner": "o-2", "sent": "d", "attempts": attempts}}


def test_who_has_lost_the_lock_asks_nobody_and_pays_nothing() -> None:
    store = Store()
    made = journal(store)

    async def main() -> None:
        await made.begin("o", {}, carried=False)
        await made.asking("a", 1.0)
        store.ours = False
        with pytest.raises(LostLock):
            await made.asking("b", 1.0)
        assert made._held.lost.is_set()  # by which the work under it is cancelled
        await made.ended("a", 0.5, "x")  # nobody hears of it, and nothing fails
        assert await made.close() is False

    asyncio.run(main())
    assert sorted(store.lines) == ["begun a second00", "head"]


def test_one_that_never_began_has_nothing_to_close() -> None:
    store = Store()
    store.ours = False
    assert asyncio.run(journal(store).close()) is True


def test_a_journal_is_bounded_and_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MOST_REPLY", 100)
    monkeypatch.setattr(journals, "MOST_LINES", 4)
    store = Store()
    made = journal(store)

    async def main() -> None:
        await made.begin("o", {}, carried=False)
        await made.asking("a", 1.0)
        await made.ended("a", 0.5, "x" * 200)
        await made.ended("b", 0.5, "short")
        await made.ended("c", 0.5, "one too many")
        assert await made.close()

    asyncio.run(main())
    assert store.lines["ended a second00"] == {"usd": 0.5, "reply": None}
    assert store.lines["ended b second00"] == {"usd": 0.5, "reply": "short"}
    assert "ended c second00" not in store.lines
    assert store.lines["closed"] == "o"


def test_of_what_is_too_much_the_cost_is_kept_without_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MOST_BYTES", 100)
    store = Store()
    made = journal(store)
    for call, reply in (("a", "x"), ("b", "x" * 300), ("c", "x")):
        asyncio.run(made.ended(call, 0.5, reply))
    assert [line["reply"] for line in store.lines.values()] == ["x", None, "x"]
    assert [line["usd"] for line in store.lines.values()] == [0.5, 0.5, 0.5]


def test_every_call_of_a_long_analysis_with_long_replies_is_known_with_its_cost() -> None:
    store = Store()
    made = journal(store)

    async def main() -> None:
        await made.begin("owner", {}, carried=False)
        for number in range(150):
            await made.asking(f"answer\tp{number}\tmodel\tdigest", 0.5)
            await made.ended(f"answer\tp{number}\tmodel\tdigest", 0.25, {"text": "x" * 100_000})

    asyncio.run(main())
    found = Left.of(store.lines)
    assert len(found.unpaid) == 150
    assert {(each.usd, each.known) for each in found.unpaid} == {(0.25, True)}
    assert 30 < len(found.replies) < 50
    assert sum(store.sizes.values()) < MOST_BYTES + 20_000

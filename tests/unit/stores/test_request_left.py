"""What earlier attempts at a keyed question left: who has replied, and what is to be paid."""

from __future__ import annotations

from typing import Any

import pytest

from techsapo_ops.stores.request_journal import Begun, Left

HEAD = {"owner": "o-1", "sent": "d", "attempts": ["first"]}


def left(**lines: Any) -> Left:
    return Left.of({name.replace("_", " "): value for name, value in lines.items()})


def test_without_a_head_nobody_has_begun() -> None:
    assert left(begun_a_first=1.0) == Left()


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
    ended = {"usd": 0.25, "reply": None}
    found = left(head=HEAD, ended_a_first=ended, begun_a_first=1.0)
    assert found.unpaid == (Begun("a", 0.25, known=True),)
    assert found.replies == {}


def test_what_an_attempt_that_paid_for_itself_had_asked_is_known_and_not_paid_again() -> None:
    ended = {"usd": 0.25, "reply": "x"}
    found = left(head=HEAD, ended_a_before=ended, ended_b_first=ended)
    assert found.replies == {"a": "x", "b": "x"}
    assert [begun.call for begun in found.unpaid] == ["b"]


@pytest.mark.parametrize(("closed", "whether"), [("o-1", True), ("o-0", False), (None, False)])
def test_it_is_closed_where_the_last_one_paid(closed: str | None, whether: bool) -> None:
    assert left(head=HEAD, **({} if closed is None else {"closed": closed})).closed is whether

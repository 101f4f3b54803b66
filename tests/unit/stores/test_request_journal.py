"""A journal bounds what replies take, and never what was paid."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from techsapo_ops.stores.flights import Held
from techsapo_ops.stores.request_journal import MOST_BYTES, Left, RequestJournal, RequestJournals


class Lines:
    """What a journal writes, by line."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}

    async def write(self, place: tuple[str, str], held: Held, value: bytes) -> bool:
        assert held is not None
        self.written[place[1]] = value
        return True


def test_every_call_of_a_long_analysis_with_long_replies_is_known_with_its_cost() -> None:
    lines = Lines()

    async def work() -> None:
        journal = RequestJournal(cast(RequestJournals, lines), "name", Held("lock"), "sent", Left())
        await journal.begin("owner", {}, carried=False)
        for number in range(150):
            call = f"answer\tp{number}\tmodel\tdigest"
            await journal.asking(call, 0.5)
            await journal.ended(call, 0.25, {"text": "x" * 100_000})

    asyncio.run(work())
    found: dict[str, Any] = {line: json.loads(value) for line, value in lines.written.items()}
    left = Left.of(found)
    assert len(left.unpaid) == 150
    assert {(each.usd, each.known) for each in left.unpaid} == {(0.25, True)}
    assert 30 < len(left.replies) < 50
    assert sum(map(len, lines.written.values())) < MOST_BYTES + 20_000

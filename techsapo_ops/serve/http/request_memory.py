"""What goes on with a request whose instance died: its replies, its money, what chance decided."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog

from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.http.problems import unconfirmed
from techsapo_ops.stores.redis_link import Unconfirmed
from techsapo_ops.stores.request_journal import LostLock, RequestJournal
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import CUT_OFF
from techsapo_ops.wallbounce.events import Charge, Phase
from techsapo_ops.wallbounce.providers.decorators import parts_of
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, NotAskedError

log = structlog.get_logger()

Count = Callable[[str], None]
"""Hears `reused` of each reply that is not asked for again, `unknown` of each call that may be paid twice."""


class RequestMemory:
    """The memory of one analysis, in the journal of its request; `begun` hears of each call that is made."""

    def __init__(
        self, journal: RequestJournal, count: Count, begun: Callable[[], None] = lambda: None
    ) -> None:
        self._journal = journal
        self._count = count
        self._begun = begun
        head = journal.left.head or {}
        self.seed: int = head.get("seed") or secrets.randbits(62) + 1

    @property
    def answered(self) -> Sequence[str]:
        """Names of the providers whose answers are known."""
        told = (parts_of(call) for call in self._journal.left.replies)
        return [provider for phase, provider, _ in told if phase == "answer"]

    def reply(self, call: str) -> Any | None:
        """The reply to `call`, where it is known."""
        found = self._journal.left.replies.get(call)
        if found is not None:
            self._count("reused")
        return found

    async def asking(self, call: str, usd: float) -> None:
        """`call` is about to be made. It is not, where another instance has taken the request over.

        Raises NotAskedError where a failover could forget it: it would be paid for once more.
        """
        try:
            await self._journal.asking(call, usd)
        except LostLock:
            await asyncio.Event().wait()  # until whoever waits for the lock cancels this
        except Unconfirmed:
            told = msg("no replica confirms that the call is written down")
            raise NotAskedError(FailureKind.REFUSED, told, cause=Cause.BUDGET) from None
        self._begun()

    async def ended(self, call: str, usd: float, reply: Any | None = None) -> None:
        """`call` ended so."""
        await self._journal.ended(call, usd, reply)

    async def begin(self, account: Account, request_id: str) -> None:
        """Let `account` pay as the instance that died did, and for what that one had asked.

        Raises Problem where a failover could lose that.
        """
        left = self._journal.left
        try:
            carried = left.head is not None and not left.closed and await account.take_over(left.head)
            payer = account.payer
            await self._journal.begin(payer["owner"], {**payer, "seed": self.seed}, carried=carried)
        except LostLock:
            await asyncio.Event().wait()
        except Unconfirmed:
            raise unconfirmed() from None
        unpaid = left.unpaid if carried else ()
        unknown = [begun for begun in unpaid if not begun.known]
        for begun in unpaid:
            phase, provider, model = parts_of(begun.call)
            status = CUT_OFF if not begun.known else "success" if begun.reply is not None else "failed"
            charge = Charge(provider, model, cast(Phase, phase), status, begun.usd, _tokens(begun.reply), 0.0)
            account.carry(charge)
        for _ in unknown:
            self._count("unknown")
        if left.head is not None:
            log.warning(
                "An instance ended in the middle of a request; this one goes on with it",
                requestId=request_id,
                replies=len(left.replies),
                unknown=len(unknown),
            )

    async def close(self, account: Account) -> None:
        """Let `account` settle, or nobody where another instance has taken the request over."""
        if not await self._journal.close():
            account.hand_over()
        await account.close()


def _tokens(reply: Any) -> Tokens:
    told = reply.get("tokens") if isinstance(reply, dict) else None
    return Tokens(**told) if isinstance(told, dict) else Tokens()

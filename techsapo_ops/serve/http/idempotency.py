"""Idempotency-Key: the same request sent twice is carried out once, also where its instance dies."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope
from typing_extensions import override

from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.problems import Problem, unconfirmed
from techsapo_ops.serve.http.proxies import header_of
from techsapo_ops.serve.metrics.own_time import OwnTime
from techsapo_ops.stores import Unconfirmed
from techsapo_ops.stores.cache import AnswerCache, StorageShare
from techsapo_ops.stores.flights import Flight, Flights
from techsapo_ops.stores.locks import Held, OtherWork, SharedLock
from techsapo_ops.stores.request_journal import LostLock, RequestJournal, RequestJournals
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import CUT_OFF, Charge, Phase
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, NotAskedError
from techsapo_ops.wallbounce.providers.guarded import parts_of

log = structlog.get_logger()

KEEP = 24 * 3600.0
"""Seconds for which an answer is given again."""
RETRIED = "x-techsapo-retried"
"""Header by which nginx says that it would send a request to another instance, should this one die."""
ONCE = "@techsapo_once"
"""Where nginx sends a request that is not to be sent twice."""
_SANE = re.compile(r"[\x21-\x7e]{1,255}")

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
        calls = (parts_of(call) for call in self._journal.left.replies)
        return [provider for phase, provider, _ in calls if phase == "answer"]

    def reply(self, call: str) -> Any | None:
        """The reply to `call`, where it is known."""
        reply = self._journal.left.replies.get(call)
        if reply is not None:
            self._count("reused")
        return reply

    async def asking(self, call: str, usd: float) -> None:
        """`call` is about to be made. It is not, where another instance has taken the request over.

        Raises NotAskedError where a failover could forget it: it would be paid for once more.
        """
        try:
            await self._journal.asking(call, usd)
        except LostLock:
            await asyncio.Event().wait()  # until whoever waits for the lock cancels this
        except Unconfirmed:
            message = msg("no replica has confirmed that the call is recorded")
            raise NotAskedError(FailureKind.REFUSED, message, cause=Cause.BUDGET) from None
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
            tokens, version = _tokens(begun.reply), _version(begun.reply)
            account.carry(
                Charge(provider, model, cast(Phase, phase), status, begun.usd, tokens, 0.0, version)
            )
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
    counts = reply.get("tokens") if isinstance(reply, dict) else None
    return Tokens(**counts) if isinstance(counts, dict) else Tokens()


def _version(reply: Any) -> str:
    version = reply.get("version") if isinstance(reply, dict) else None
    return version if isinstance(version, str) else ""


Work = Callable[[RequestMemory | None], Awaitable[Document]]


class SendOnce(Problem):
    """The key can't be kept now, and nginx would send the request again: it must send it in another way."""

    def __init__(self) -> None:
        super().__init__(409, "invalid_request", "only nginx can be told to send this once")

    @override
    def answer(self, scope: Scope) -> Response:
        return Response(status_code=self.status, headers={"X-Accel-Redirect": ONCE})


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Answers by Idempotency-Key, for one caller and path. Only answers are kept, never problems.

    What providers replied is written to a journal, so that the instance that goes on with a request of one
    that died asks nobody twice. `count` hears of it. Where a caller's `share` is used up, what it has is kept
    on, and of new answers other instances know as long as their journals last.

    Where the lock is of a Redis that another one may take over from, nginx gives up connections to instances
    that go on, as the network fails and comes back: a request that has asked a provider goes on when nobody
    waits any more. Who sends it again gets its answer, and no reply is paid for twice.
    """

    cache: AnswerCache
    lock: SharedLock
    journals: RequestJournals
    share: StorageShare
    count: Count = lambda _: None
    _flights: Flights[Document, str] = field(default_factory=Flights[Document, str])
    """The one event of each is the digest of its body."""

    async def once(self, request: Request, caller: Caller, body: BaseModel, work: Work) -> Document:
        """What `work` gives, or gave when this key came first; one that is under way is waited for.

        Raises Problem, without waiting, where the key came with another body before.
        """
        key = header_of(request.scope, b"idempotency-key")
        if key is None:
            return await work(None)
        if not _SANE.fullmatch(key):
            raise Problem(
                422, "invalid_request", msg("Idempotency-Key must be 1 to 255 printable characters")
            )
        sent = hashlib.sha256(
            json.dumps(body.model_dump(), sort_keys=True, default=str).encode(errors="surrogatepass")
        ).hexdigest()
        name = hashlib.sha256(f"{caller.id}\n{request.url.path}\n{key}".encode()).hexdigest()

        async def first(held: Held | None, begun: Callable[[], None]) -> Document:
            if held is None:
                self._not_shared(request)
                return (await self._keep(caller, request.url.path, name, sent, await work(None)))[0]
            journal = await self.journals.opened(name, held, sent)
            if journal.left.head is not None and journal.left.head.get("sent") != sent:
                raise _reused()
            document = await work(RequestMemory(journal, self.count, begun))
            reply, shared = await self._keep(caller, request.url.path, name, sent, document, held)
            if shared:
                await journal.forget()
            else:  # what it has of the replies is all that another instance will know
                _tell(request, "Idempotency-Kept", "no")
            return reply

        async def fly(flight: Flight[Document, str]) -> Document:
            confirms = self.lock.confirms
            surely = (lambda held: self._surely(name, held)) if confirms else None

            def begun() -> None:
                flight.to_its_end = confirms

            try:
                return await self.lock.run_once(
                    name, sent, lambda: self._stored(name), lambda held: first(held, begun), surely
                )
            except OtherWork:
                raise _reused() from None
            except Unconfirmed:
                raise unconfirmed() from None

        flight, mine = self._flights.board(name, fly)
        if mine:
            flight.tell(sent)
        elif flight.events[0] != sent:
            raise _reused()
        time = OwnTime.of(request.scope)
        time.elsewhere = not mine
        with flight.aboard():
            reply = await flight.result()
        if reply["sent"] != sent:
            raise _reused()
        document: Document = reply["document"]
        if not mine or document["request_id"] != request.state.request_id:
            time.elsewhere = True
            _tell(request, "Idempotency-Replayed", "true")
        return document

    async def answered(self, caller: Caller, path: str, request_id: str) -> Document | None:
        """The answer that `caller` was given on `path` with that id, while it is kept; nobody else's."""
        noted = await self.cache.get(_place(caller, path, request_id))
        reply = None if noted is None else await self._stored(str(load(noted)))
        document: Document | None = None if reply is None else reply["document"]
        return document if document is not None and document["request_id"] == request_id else None

    def _not_shared(self, request: Request) -> None:
        """Say that another instance will not know of this request. Raises SendOnce where nginx must know."""
        if self.lock.shared and request.headers.get(RETRIED):
            raise SendOnce
        _tell(request, "Idempotency-Kept", "no" if self.lock.shared else "instance")

    async def _keep(
        self, caller: Caller, path: str, name: str, sent: str, document: Document, held: Held | None = None
    ) -> tuple[Document, bool]:
        """What is kept, and whether other instances have it; its id leads there, by a note of its name."""
        reply = {"sent": sent, "document": document}
        value = dump(reply)
        note = dump(name)
        if not await self.share.takes(caller.id, len(value) + len(note)):
            return reply, False
        place = _place(caller, path, document["request_id"])
        # Whoever sends a request may name its id: an address of an answer leads to the first one that had it.
        if await self.cache.get(place) is None:
            await self.cache.set(place, note, KEEP)
        if held is None or not self.lock.confirms:
            return reply, await self.cache.set(name, value, KEEP)
        sealed = self.cache.closed(name, value, KEEP)
        try:
            return reply, await self.lock.keep(held, self.cache.place(name), sealed, KEEP)
        except Unconfirmed:  # it is paid: given once is better than not at all
            return reply, False

    async def _surely(self, name: str, held: Held) -> Document | None:
        """What is kept by `name`, by the Redis that holds the lock. Raises Unconfirmed."""
        raw = self.cache.opened(name, await self.lock.read(held, self.cache.place(name)))
        return None if raw is None else dict(load(raw))

    async def _stored(self, name: str) -> Document | None:
        raw = await self.cache.get(name)
        return None if raw is None else dict(load(raw))


def _place(caller: Caller, path: str, request_id: str) -> str:
    return hashlib.sha256(f"{caller.id}\n{path}\nanswer {request_id}".encode()).hexdigest()


def _reused() -> Problem:
    return Problem(
        422, "idempotency_key_reused", msg("this Idempotency-Key was already used with a different body")
    )


def _tell(request: Request, header: str, value: str) -> None:
    request.state.headers = {**getattr(request.state, "headers", {}), header: value}

"""What the instances of one project share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.redis import RedisServer, Sentinels
from techsapo_ops.adapters.streaks import OnOperation
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds, size_bytes
from techsapo_ops.spec.models.servers import Redis
from techsapo_ops.stores.app_key import Seal
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_confirmed import ConfirmedBudgets
from techsapo_ops.stores.budget_ledger import Lost, SpentBefore, Unaccounted, nothing
from techsapo_ops.stores.cache import PART, AnswerCache, StorageShare
from techsapo_ops.stores.limits import RateLimiter
from techsapo_ops.stores.locks import Renewals, SharedLock
from techsapo_ops.stores.redis_link import RedisLink
from techsapo_ops.stores.request_journal import RequestJournals

ANSWERS = "sealed-answer"
REPLIES = "sealed-reply"
BEGUN = "sealed-journal"
"""Parts of keys in Redis."""


class Shared:
    """Caches, locks, budgets and limits: in the stack's Redis where it runs one, else each instance has its
    own.

    `sentinels` know which of several is the master, and call it by the project's name.
    `ca` has signed the certificate of a Redis that speaks TLS. `counter` makes, for each use of it, what
    hears of every operation whether it succeeded, `forged` what hears of a kept value without our `seal`.
    """

    def __init__(
        self,
        spec: Spec,
        ca: Path | None,
        counter: Callable[[str], OnOperation],
        seal: Seal | None = None,
        forged: Callable[[str], Callable[[], None]] = lambda _: lambda: None,
        sentinels: tuple[Address, ...] = (),
    ) -> None:
        self._project = project = spec.project
        self._server = server = redis_server(spec.redis, ca)
        if server is not None and sentinels:
            self._server = server = replace(server, sentinels=Sentinels(sentinels, project))
        self._counter = counter
        self._limiter: RateLimiter | None = None
        self._budgets: BudgetStore | None = None

        def cache(part: str, use: str) -> AnswerCache:
            return AnswerCache(server, f"{project}:{part}:", counter(use), seal=seal, forged=forged(use))

        self.answers = cache(ANSWERS, "answers")
        self.replies = cache(REPLIES, "replies")
        self._money = RedisLink(server, "budgets", counter("budgets"))
        self._locks = RedisLink(server, "single flight", counter("locks"))
        self._renewals = Renewals(lambda: RedisLink(server, "locks under way"))
        self._begun = RedisLink(server, "requests under way", counter("journals"))
        self.journals = RequestJournals(self._begun, f"{project}:{BEGUN}:", seal, forged("journals"))
        most = size_bytes(spec.redis.maxmemory) // PART
        self.reply_share = StorageShare(self._begun, f"{project}:kept:", most)
        # Redis makes room for an answer by what was not used for longest, whoever had it kept.
        life = seconds(spec.wallbounce.cache_ttl)
        self.reuse_share = StorageShare(self._begun, f"{project}:reused:", most // 2, life=life)

    def lock(self, name: str) -> SharedLock:
        """Locks by key, of their own under `name`."""
        return SharedLock(self._locks, f"{self._project}:{name}:", self._renewals)

    def sure_lock(self, name: str) -> SharedLock:
        """As `lock`, for what must not be done twice though another Redis takes over."""
        return SharedLock(self._locks, f"{self._project}:{name}:", self._renewals, sure=True)

    def budgets(
        self, spent_before: SpentBefore, lost: Callable[[Lost], None], unaccounted: Unaccounted = nothing
    ) -> BudgetStore:
        """The budgets; for `spent_before`, `lost` and `unaccounted` see BudgetStore."""
        kind = ConfirmedBudgets if self._money.copies else BudgetStore
        self._budgets = kind(self._money, f"{self._project}:budget:", spent_before, lost, unaccounted)
        return self._budgets

    def limiter(self) -> RateLimiter:
        """Requests a minute by caller."""
        if self._limiter is None:
            self._limiter = RateLimiter(self._server, f"{self._project}:rate", self._counter("limits"))
        return self._limiter

    async def check(self) -> None:
        """Ask Redis for a sign of life, and again for what it failed at: what is broken is known without
        traffic, and so is that it no longer is.
        """
        await self.answers.check()
        if self.answers.reached:
            await self.replies.try_again()
            await self.lock("trial").try_again()
            await self.journals.try_again()
            for store in (self._budgets, self._limiter):
                if store is not None:
                    await store.try_again()

    def connections(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What holds connections, by name, and what gives them back."""
        limits = [("rate limits", self._limiter.close)] if self._limiter is not None else []
        return [
            *limits,
            ("budgets", self._money.close),
            ("renewals of locks", self._renewals.close),
            ("locks", self._locks.close),
            ("journals of requests", self._begun.close),
            ("kept replies", self.replies.close),
            ("answer cache", self.answers.close),
        ]


def redis_server(spec: Redis, ca: Path | None = None) -> RedisServer | None:
    """The stack's Redis, whose certificate `ca` has signed where it speaks TLS; None where it runs none."""
    if not spec.enabled:
        return None
    password = spec.password.reveal() if spec.password is not None else None
    return RedisServer(spec.host, spec.port, spec.user, password, spec.tls, ca)

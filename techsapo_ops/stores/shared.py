"""What the instances of one project share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from techsapo_ops.adapters.redis import OnOperation, RedisLink, RedisServer
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.data import Redis
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_ledger import Lost, SpentBefore
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.flights import SharedLock
from techsapo_ops.stores.limits import RateLimiter


class Shared:
    """Caches, locks, budgets and limits: in the stack's Redis where it runs one, else each instance has its
    own.

    `ca` has signed the certificate of a Redis that speaks TLS. `counter` makes, for each use of it, what
    hears of every operation whether it succeeded.
    """

    def __init__(self, spec: Spec, ca: Path | None, counter: Callable[[str], OnOperation]) -> None:
        self._server = server = redis_server(spec.redis, ca)
        self._project = project = spec.project
        self._counter = counter
        self._limiter: RateLimiter | None = None
        self.answers = AnswerCache(server, f"{project}:answer:", counter("answers"))
        self.replies = AnswerCache(server, f"{project}:reply:", counter("replies"))
        self._link = RedisLink(server, "budgets and single flight", counter("shared"))

    def lock(self, name: str) -> SharedLock:
        """Locks by key, of their own under `name`."""
        return SharedLock(self._link, f"{self._project}:{name}:")

    def budgets(self, spent_before: SpentBefore, lost: Callable[[Lost], None]) -> BudgetStore:
        """The budgets; for `spent_before` and `lost` see BudgetStore."""
        return BudgetStore(self._link, f"{self._project}:budget:", spent_before, lost)

    def limiter(self) -> RateLimiter:
        """Requests a minute by caller."""
        if self._limiter is None:
            self._limiter = RateLimiter(self._server, f"{self._project}:rate", self._counter("limits"))
        return self._limiter

    def connections(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What holds connections, by name, and what gives them back."""
        limits = [("rate limits", self._limiter.close)] if self._limiter is not None else []
        return [
            *limits,
            ("budgets and locks", self._link.close),
            ("kept replies", self.replies.close),
            ("answer cache", self.answers.close),
        ]


def redis_server(spec: Redis, ca: Path | None = None) -> RedisServer | None:
    """The stack's Redis, whose certificate `ca` has signed where it speaks TLS; None where it runs none."""
    if not spec.enabled:
        return None
    password = spec.password.reveal() if spec.password is not None else None
    return RedisServer(spec.host, spec.port, spec.user, password, spec.tls, ca)

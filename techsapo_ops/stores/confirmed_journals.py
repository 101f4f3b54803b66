"""Journals of requests in a Redis that another one may take over from."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.stores.confirmed_lock import read_under
from techsapo_ops.stores.flights import Held
from techsapo_ops.stores.request_journal import WRITE, RequestJournals


class ConfirmedJournals(RequestJournals):
    """Journals whose lines replicas have before anything rests on them: a failover forgets no call."""

    @override
    async def write(self, place: tuple[str, str], held: Held, value: bytes) -> bool:
        """Write at `place`; False where `held` is no longer ours. Raises Unconfirmed."""
        names, args = (held.name, self._prefix + place[0]), self._line(place, held, value)
        return bool(await self._link.confirmed(lambda pipe: pipe.eval(WRITE, 2, *names, *args)))

    @override
    async def _raw(self, name: str, held: Held) -> dict[Any, Any]:
        lines = await read_under(self._link, held, self._prefix + name, "HGETALL") or []
        return dict(zip(lines[::2], lines[1::2], strict=True))

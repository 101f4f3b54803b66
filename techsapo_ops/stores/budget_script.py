"""The script of budgets: what it is given, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from techsapo_ops.adapters.streaks import Operation
from techsapo_ops.stores.budget_ledger import Balance, Ledger

DONE_BY: dict[str, Operation] = {
    "read": "read", "reserve": "write", "adopt": "write", "seed": "write", "raise": "write",
    "settle": "release", "hold": "write", "close": "release",
}  # fmt: skip
"""By action of the script, what it asks of Redis."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the script answers; `at` and the first of `lost` are indices of ledgers."""

    status: str
    at: int
    balances: tuple[Balance, ...]
    lost: tuple[tuple[int, str, int, int], ...]

    @classmethod
    def of(cls, raw: list[Any]) -> Reply:
        """`raw` as redis-py gives it."""
        status, at, balances, lost = raw
        return cls(
            status.decode(),
            int(at) - 1,
            tuple(Balance(int(s), int(h)) for s, h in _batched(balances, 2)),
            tuple((int(n) - 1, owner.decode(), int(e), int(a)) for n, owner, e, a in _batched(lost, 4)),
        )


def key_names(prefix: str, ledgers: Sequence[Ledger]) -> list[str]:
    """The keys of ledgers in Redis."""
    return [f"{prefix}{ledger.key}:{part}" for ledger in ledgers for part in ("spent", "open")]


def _batched(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`items` in groups of `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]

from __future__ import annotations

from datetime import UTC, datetime

from techsapo_ops.stores.budget_ledger import NANO, Ledger, nano


def test_a_ledger_ends_with_its_utc_day_or_month() -> None:
    last = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert Ledger.of("", "day", 1, last).reset == datetime(2027, 1, 1, tzinfo=UTC)
    assert Ledger.of("", "month", 1, last).reset == datetime(2027, 1, 1, tzinfo=UTC)
    assert Ledger.of("", "month", 1, datetime(2028, 2, 29, tzinfo=UTC)).reset == datetime(
        2028, 3, 1, tzinfo=UTC
    )


def test_dollars_become_whole_nano_dollars_and_never_fewer() -> None:
    assert nano(0.1) == NANO // 10
    assert nano(0.1 + 0.2) == 3 * NANO // 10
    assert nano(1e-10) == 1
    assert nano(0) == 0

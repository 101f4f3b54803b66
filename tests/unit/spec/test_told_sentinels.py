from __future__ import annotations

import pytest
from rows import each_row

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.redis import RedisServer, Sentinels
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.store_access import every
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_confirmed import ConfirmedBudgets
from techsapo_ops.stores.shared import Shared


def test_sentinels_are_told_between_commas_and_another_text_is_refused() -> None:
    assert every("10.0.0.1:26379,[::1]:2") == (Address("10.0.0.1", 26379), Address("[::1]", 2))
    for text in ("10.0.0.1", "10.0.0.1:26379,", "a:b"):
        with pytest.raises(OpsError, match="is not HOST:PORT"):
            every(text)


@each_row("hosts, copies", [(3, 1), (5, 2)])
def test_with_the_master_most_machines_have_what_must_not_be_lost(hosts: int, copies: int) -> None:
    addresses = tuple(Address(f"10.0.0.{n}", 26379) for n in range(hosts))
    assert RedisServer("unused", 1, sentinels=Sentinels(addresses, "x")).copies == copies
    assert RedisServer("127.0.0.1", 6379).copies == 0


async def _nothing(_: object) -> int:
    return 0


def test_one_redis_is_asked_as_before_and_several_have_to_confirm() -> None:
    spec = Spec.model_validate({"project": "x"})

    def made(*sentinels: Address) -> tuple[type, bool, bool]:
        shared = Shared(spec, None, lambda _: lambda _operation, _ok: None, sentinels=sentinels)
        budgets = shared.budgets(_nothing, lambda _: None)
        return type(budgets), shared.sure_lock("replying").confirms, shared.lock("flight").confirms

    assert made() == (BudgetStore, False, False)
    several = tuple(Address(f"10.0.0.{n}", 26379) for n in range(3))
    assert made(*several) == (ConfirmedBudgets, True, False)

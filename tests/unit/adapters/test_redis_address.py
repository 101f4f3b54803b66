"""Every client of the stack's Redis finds it at the same place, whatever it listens on."""

from __future__ import annotations

import pytest

from techsapo_ops.adapters import redis_link
from techsapo_ops.spec.models.data import Redis
from techsapo_ops.stores import cache, limits


@pytest.mark.parametrize(
    ("listens", "asked"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("localhost", "127.0.0.1"),
        ("fd00::5", "fd00::5"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_link_cache_and_rate_limits_ask_the_same_address(listens: str, asked: str) -> None:
    spec = Redis(host=listens, port=7001)
    clients = (
        redis_link.connect(spec),
        cache._connect(spec, None),
        limits._storage(spec, "x", None).bridge.storage,  # type: ignore[attr-defined] # RedisStorage has it
    )
    places = [client.connection_pool.connection_kwargs for client in clients]
    assert [(place["host"], place["port"]) for place in places] == [(asked, 7001)] * 3

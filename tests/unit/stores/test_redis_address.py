"""Every client of the stack's Redis finds it at the same place, whatever it listens on."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.stores import limits
from techsapo_ops.stores.redis_pool import connect


@each_row(
    "listens, asked",
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("localhost", "127.0.0.1"),
        ("fd00::5", "fd00::5"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_links_and_rate_limits_ask_the_same_address(listens: str, asked: str) -> None:
    server = RedisServer(listens, 7001)
    clients = (
        connect(server),
        limits._storage(server, "x").bridge.storage,  # type: ignore[attr-defined] # RedisStorage has it
    )
    places = [client.connection_pool.connection_kwargs for client in clients]
    assert [(place["host"], place["port"]) for place in places] == [(asked, 7001)] * 2

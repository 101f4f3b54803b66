from __future__ import annotations

import redis

from techsapo_ops.stores.redis_link import HUNG_PAUSE, PAUSE, pause_after


def test_a_redis_that_hangs_is_left_alone_for_longer_than_one_that_refuses() -> None:
    assert pause_after(redis.TimeoutError()) == pause_after(TimeoutError()) == HUNG_PAUSE
    assert pause_after(redis.ConnectionError()) == pause_after(ConnectionRefusedError()) == PAUSE
    assert HUNG_PAUSE > PAUSE

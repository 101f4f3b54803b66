from __future__ import annotations

import asyncio
import json

from rows import each_row

from techsapo_ops.serve.http.broadcast import REPLAY, Broadcast
from techsapo_ops.serve.metrics.stream import Telemetry, Values


class Wire:
    """A connection that remembers whether it was cut."""

    def __init__(self) -> None:
        self.cut = False
        self.high: int | None = None

    def abort(self) -> None:
        self.cut = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


async def test_every_client_gets_the_very_same_bytes() -> None:
    broadcast = Broadcast()
    with broadcast.subscribe() as one, broadcast.subscribe() as two:
        waiting = asyncio.gather(one.next(), two.next())
        await asyncio.sleep(0)
        await broadcast.publish('{"n":1}')
        first, second = await waiting
        assert first is second
        assert first is not None
        assert first.event == f'id: {broadcast.name}-1\ndata: {{"n":1}}\n\n'.encode()


async def test_a_client_that_does_not_read_misses_three_frames_and_is_then_cut_off() -> None:
    broadcast, wire = Broadcast(), Wire()
    with broadcast.subscribe(wire) as slow, broadcast.subscribe() as quick:
        assert wire.high == 0
        for number in range(4):
            assert not wire.cut
            reading = asyncio.create_task(quick.next())
            await asyncio.sleep(0)
            await broadcast.publish(str(number))
            frame = await reading
            assert frame is not None
            assert frame.json == str(number)
        assert wire.cut
        assert await slow.next() is None
    assert len(broadcast) == 0


async def test_a_slow_client_is_given_the_newest_frame_alone() -> None:
    broadcast = Broadcast()
    with broadcast.subscribe(Wire()) as subscriber:
        for number in range(3):
            await broadcast.publish(str(number))
        frame = await subscriber.next()
        assert frame is not None
        assert frame.json == "2"


@each_row(
    "last_id, expected",
    [
        ("{name}-38", ["39", "40"]),
        ("{name}-40", []),
        ("{name}-10", [str(n) for n in range(11, 41)]),
        ("{name}-9", ["40"]),
        ("other-38", ["40"]),
        ("", ["40"]),
        ("{name}-x", ["40"]),
        ("{name}-" + "9" * 5000, ["40"]),
    ],
)
def test_a_client_that_comes_back_gets_what_it_missed(last_id: str, expected: list[str]) -> None:
    async def main() -> None:
        broadcast = Broadcast()
        for number in range(1, REPLAY + 11):
            await broadcast.publish(str(number))
        missed = broadcast.missed(last_id.replace("{name}", broadcast.name))
        assert [frame.json for frame in missed] == expected

    asyncio.run(main())


async def test_the_end_wakes_everybody_and_nobody_new_waits() -> None:
    broadcast = Broadcast()
    with broadcast.subscribe() as subscriber:
        waiting = asyncio.create_task(subscriber.next())
        await asyncio.sleep(0)
        broadcast.close()
        assert await waiting is None
    with broadcast.subscribe() as late:
        assert await late.next() is None


def figures() -> Values:
    return {"techsapo_wallbounce_success_rate": 0.5, "techsapo_provider_cost_usd": {"a": 1.0, "b": 2.0}}


async def test_a_reading_is_told_in_the_guides_shape_and_kept_as_columns() -> None:
    telemetry = Telemetry(figures, "app-1", interval=0.01, clock=lambda: 1700000000.0)
    with telemetry.broadcast.subscribe() as subscriber:
        task = asyncio.create_task(telemetry.run())
        frame = await subscriber.next()
        task.cancel()
    assert frame is not None
    data = {"time": 1700000000.0, "instance": "app-1", "metrics": figures()}
    assert json.loads(frame.json) == {"type": "metrics", "data": data}
    history = telemetry.history().document()
    assert history["series"] == {
        "techsapo_wallbounce_success_rate": [0.5],
        "techsapo_provider_cost_usd{a}": [1.0],
        "techsapo_provider_cost_usd{b}": [2.0],
    }


async def test_a_reading_that_fails_ends_no_stream() -> None:
    results = iter([ZeroDivisionError(), figures()])

    def read() -> Values:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    telemetry = Telemetry(read, "app-1", interval=0.01)
    with telemetry.broadcast.subscribe() as subscriber:
        task = asyncio.create_task(telemetry.run())
        assert await subscriber.next() is not None
        task.cancel()

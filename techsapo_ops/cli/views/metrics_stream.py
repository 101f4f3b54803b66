"""`techsapo monit --remote`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from techsapo_ops.cli.output import Output, console, make_table, write_json
from techsapo_ops.messages import msg
from techsapo_ops.operations.watch.metrics_stream import follow

if TYPE_CHECKING:
    from techsapo_ops.cli.peer import Peer
    from techsapo_ops.operations.watch.metrics_stream import RemoteReading, Value

COLUMNS = ("METRIC", "VALUE")


def show(asked: Peer, *, once: bool, as_json: bool) -> None:
    """Follow the stream of `asked` and show each reading; with `once`, or on a pipe, the second one alone."""
    out, url = Output(as_json=as_json), asked.url

    def lost(reason: str, pause: float) -> None:
        out.say(msg("lost {url}: {reason}; trying again in {pause:g} s", url=url, reason=reason, pause=pause))

    # The first reading is the newest that there was; a rate needs a second one.
    readings = islice(follow(url, asked.headers, lost, trust=asked.trust), 1, None)
    if as_json:
        for reading in islice(readings, 1) if once else readings:
            write_json(_json(reading))
        return
    if once or not console().is_terminal:
        reading = next(readings)
        out.data(msg("{instance} at {url}\n", instance=reading.instance, url=url))
        out.table(COLUMNS, _rows(reading))
        return
    _live(url, readings)


def _live(url: str, readings: Iterator[RemoteReading]) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console(), auto_refresh=False, screen=False) as live:
        for reading in readings:
            head = Text(f"{reading.instance} at {url}\n", style="bold")
            live.update(Group(head, make_table(COLUMNS, _rows(reading))), refresh=True)


def _rows(reading: RemoteReading) -> list[tuple[str, str]]:
    rate = reading.requests_per_second
    rows = [("requests per second", "-" if rate is None else f"{rate:.1f}")]
    rows += [(name, _text(value)) for name, value in sorted(reading.metrics.items())]
    return rows


def _text(value: Value) -> str:
    if isinstance(value, float | int):
        return f"{value:.6g}"
    return "  ".join(f"{label} {number:.6g}" for label, number in value.items())


def _json(reading: RemoteReading) -> dict[str, Any]:
    return {
        "time": reading.time,
        "instance": reading.instance,
        "requests_per_second": reading.requests_per_second,
        "metrics": reading.metrics,
    }

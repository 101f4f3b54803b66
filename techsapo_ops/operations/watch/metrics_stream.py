"""Follows an instance's metrics stream from anywhere, for `techsapo monit --remote`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from techsapo_ops.adapters.http import Unreachable, Untrusted
from techsapo_ops.adapters.sse import Event, events
from techsapo_ops.adapters.tls_trust import SYSTEM, Trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

STREAM = "/api/v1/metrics/stream"
REQUESTS = "techsapo_http_requests_total"
SILENCE = 40.0
"""Seconds without even a heartbeat after which a stream is taken for dead."""
LONGEST_PAUSE = 30.0

Value = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RemoteReading:
    """What an instance said at `time` (Unix seconds); the rate is that since the reading before, if any."""

    time: float
    instance: str
    metrics: Mapping[str, Value]
    requests_per_second: float | None


def follow(
    url: str,
    headers: Mapping[str, str],
    lost: Callable[[str, float], None],
    *,
    trust: Trust = SYSTEM,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[RemoteReading]:
    """Readings as they come, for ever.

    A stream that breaks off is taken up again where it ended, after 1, 2, 4 … 30 seconds; `lost` hears why
    and how long it takes. Raises OpsError where the stream was never had or is refused, as Untrusted where
    the server's certificate was the reason.
    """
    before: RemoteReading | None = None
    last_id, pause = "", 1.0
    while True:
        resume = {"Last-Event-ID": last_id} if last_id else {}
        try:
            for event in events(
                f"{url.rstrip('/')}{STREAM}", headers={**headers, **resume}, timeout=SILENCE, trust=trust
            ):
                reading = _reading(url, event, before)
                if before is None or reading.time > before.time or reading.instance != before.instance:
                    yield reading
                before, last_id, pause = reading, event.id, 1.0
            reason = msg("the instance ended the stream")
        except Unreachable as error:
            if before is None:
                if isinstance(error, Untrusted):
                    raise
                raise OpsError(
                    msg("no metrics stream at {url}: {reason}", url=url, reason=error.reason),
                    msg("check the address; `techsapo ps` shows it"),
                ) from None
            reason = error.reason
        lost(reason, pause)
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _reading(url: str, event: Event, before: RemoteReading | None) -> RemoteReading:
    try:
        told: Any = json.loads(event.data)
    except ValueError:
        told = None
    if event.status in {401, 403}:
        raise OpsError(
            msg("{url} asks for an API key", url=url),
            msg("set TECHSAPO_API_KEY; `techsapo keys create NAME --scope monitor` makes a key"),
        )
    if event.status != 200 or not isinstance(told, dict) or told.get("type") != "metrics":
        detail = told.get("detail", "") if isinstance(told, dict) else ""
        raise OpsError(
            msg(
                "{url} answered HTTP {status} {detail}", url=url, status=event.status, detail=detail
            ).rstrip(),
            msg("is it an orchestrator?"),
        )
    data = told["data"]
    metrics: dict[str, Value] = data["metrics"]
    count = metrics.get(REQUESTS, 0.0)
    rate = None
    if before is not None and before.instance == data["instance"] and data["time"] > before.time:
        earlier = before.metrics.get(REQUESTS, 0.0)
        if isinstance(count, float | int) and isinstance(earlier, float | int) and count >= earlier:
            rate = (count - earlier) / (data["time"] - before.time)
    return RemoteReading(data["time"], data["instance"], metrics, rate)

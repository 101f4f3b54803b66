"""Server-sent events of a running app, as a test reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from techsapo_ops.adapters.sse import MEDIA_TYPE, Parser


@dataclass(frozen=True, slots=True)
class Event:
    """One event and the HTTP status of its answer; an answer that is no stream is one without a name."""

    status: int
    name: str
    data: str
    id: str = ""


def events(url: str, *, headers: Mapping[str, str], timeout: float) -> Iterator[Event]:
    """GET `url`, and yield each event as it comes; `timeout` is the longest silence in seconds."""
    wanted = {"Accept-Encoding": "identity", **headers, "Accept": MEDIA_TYPE}
    with (
        httpx.Client(trust_env=False, timeout=timeout) as client,
        client.stream("GET", url, headers=wanted) as response,
    ):
        if not response.headers.get("content-type", "").startswith(MEDIA_TYPE):
            yield Event(response.status_code, "", response.read().decode())
            return
        parser = Parser()
        for chunk in response.iter_raw():
            for name, last_id, data in parser.feed(chunk):
                yield Event(response.status_code, name, data.decode(), last_id)

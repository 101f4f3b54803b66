"""Server-sent events as a client reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from techsapo_ops.adapters.http import Unreachable, raise_untrusted, way
from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.adapters.tls_trust import SYSTEM, Trust
from techsapo_ops.messages import msg

LARGEST = 16 * 1024**2
"""Most characters of one event, so that a broken peer fills no memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event and the HTTP status of its answer; an answer that is no stream is one without a name."""

    status: int
    name: str
    data: str
    id: str = ""


def events(
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    timeout: float,
    trust: Trust = SYSTEM,
) -> Iterator[Event]:
    """POST `content`, or GET where it is None, and yield each event as it comes.

    `timeout` is the longest silence in seconds. Raises Unreachable when there is no answer or it breaks off,
    and for `trust` and keys what fetch raises.
    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    import httpx

    try:
        context, named = way(url, headers, trust, timeout)
        with (
            httpx.Client(trust_env=False, verify=context, timeout=timeout) as client,
            client.stream(
                "GET" if content is None else "POST",
                url,
                headers={**headers, "Accept": "text/event-stream"},
                content=content,
                extensions=named,
            ) as response,
        ):
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                yield Event(response.status_code, "", response.read()[:LARGEST].decode(errors="replace"))
                return
            name, data, last_id = "message", "", ""
            for line in response.iter_lines():
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    if data:
                        yield Event(response.status_code, name, data, last_id)
                    name, data = "message", ""
                elif field == "event":
                    name = value
                elif field == "id":
                    last_id = value
                elif field == "data":
                    data = f"{data}\n{value}" if data else value
                    if len(data) > LARGEST:
                        raise Unreachable(
                            url, msg("an event is longer than {largest} characters", largest=LARGEST)
                        )
    except httpx.TimeoutException:
        raise Unreachable(url, msg("silent for {timeout:g} s", timeout=timeout)) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise_untrusted(url, error, trust)
        raise Unreachable(url, os_reason(error) or str(error) or type(error).__name__) from None

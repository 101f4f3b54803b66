"""Server-sent events as a client reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from techsapo_ops.adapters.http import Unreachable, os_reason

LARGEST = 16 * 1024**2
"""Most characters of one event, so that a broken peer fills no memory."""


def events(
    url: str, *, headers: Mapping[str, str], content: bytes, timeout: float
) -> Iterator[tuple[int, str, str]]:
    """POST `content` and yield status, event name and data of each event as it comes.

    An answer that is no stream is one event without a name. `timeout` is the longest silence in seconds.
    Raises Unreachable when there is no answer or it breaks off.
    """
    import httpx

    try:
        with (
            httpx.Client(trust_env=False, verify=False, timeout=timeout) as client,  # noqa: S501 - as in http.py
            client.stream(
                "POST", url, headers={**headers, "Accept": "text/event-stream"}, content=content
            ) as response,
        ):
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                yield response.status_code, "", response.read()[:LARGEST].decode(errors="replace")
                return
            name, data = "message", ""
            for line in response.iter_lines():
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    if data:
                        yield response.status_code, name, data
                    name, data = "message", ""
                elif field == "event":
                    name = value
                elif field == "data":
                    data = f"{data}\n{value}" if data else value
                    if len(data) > LARGEST:
                        raise Unreachable(url, f"an event is longer than {LARGEST} characters")
    except httpx.TimeoutException:
        raise Unreachable(url, f"silent for {timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(url, os_reason(error) or str(error) or type(error).__name__) from None

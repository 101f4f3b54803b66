"""What commands ask the running app about incidents and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from techsapo_ops.adapters.http import Answer, Unreachable, fetch, send
from techsapo_ops.cli.app.orchestrator import Orchestrator, content, parsed, refused, silent
from techsapo_ops.cli.language import spoken_language

INCIDENTS = "/api/v1/incidents"
_LIMIT = 4 << 20
"""Bytes of an answer: a time line holds the evidence."""


def incidents(asked: Orchestrator, state: str = "all", limit: int = 50) -> list[dict[str, Any]]:
    """Incidents that are `open` or `ended`, or `all`, the newest first.

    Raises OpsError with what the app said instead, as all of these do.
    """
    found: list[dict[str, Any]] = read(asked, INCIDENTS, {"state": state, "limit": str(limit)})["incidents"]
    return found


def incident(asked: Orchestrator, number: int) -> dict[str, Any]:
    """One incident with its alerts and its time line."""
    return read(asked, f"{INCIDENTS}/{number}", {})


def read(asked: Orchestrator, path: str, params: Mapping[str, str]) -> dict[str, Any]:
    """The document at `path`, with the query `params`."""
    peer, url = asked.peer, f"{asked.peer.url}{path}"
    headers = {"Accept-Language": spoken_language(), **peer.headers}
    try:
        answer = fetch(
            url, timeout=asked.timeout, limit=_LIMIT, params=params, headers=headers, trust=peer.trust
        )
    except Unreachable as error:
        raise silent(url, error) from None
    return _answered(url, answer)


def posted(asked: Orchestrator, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `body`, sent once: what nobody answered may have been done, and is not done again."""
    peer, url = asked.peer, f"{asked.peer.url}{path}"
    headers = {"Content-Type": "application/json", "Accept-Language": spoken_language(), **peer.headers}
    try:
        answer = send(url, content(body), headers=headers, timeout=asked.timeout, trust=peer.trust)
    except Unreachable as error:
        raise silent(url, error) from None
    return _answered(url, answer)


def _answered(url: str, answer: Answer) -> dict[str, Any]:
    body = parsed(url, answer.status, answer.body)
    if not answer.ok:
        raise refused(answer.status, body)
    return body

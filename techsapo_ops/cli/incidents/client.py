"""What commands ask the running app about incidents and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from techsapo_ops.adapters.http import Answer, Unreachable, fetch, send
from techsapo_ops.cli.app.orchestrator import Orchestrator, content, parsed, refused, silent
from techsapo_ops.cli.language import spoken_language

EVENTS = "/api/v1/events"
INCIDENTS = "/api/v1/incidents"
_LIMIT = 4 << 20
"""Bytes of an answer: a time line holds the evidence."""


def add_event(asked: Orchestrator, text: str, service: str, host: str) -> dict[str, Any]:
    """Note that something was done. Raises OpsError with what the app said instead, as all of these do."""
    return posted(asked, EVENTS, {"text": text, "service": service, "host": host})


def incidents(asked: Orchestrator, state: str = "all", limit: int = 50) -> list[dict[str, Any]]:
    """Incidents that are `open` or `ended`, or `all`, the newest first."""
    found: list[dict[str, Any]] = read(asked, INCIDENTS, {"state": state, "limit": str(limit)})["incidents"]
    return found


def incident(asked: Orchestrator, number: int) -> dict[str, Any]:
    """One incident with its alerts and its time line."""
    return read(asked, f"{INCIDENTS}/{number}", {})


def resolve(asked: Orchestrator, number: int, cause: str) -> dict[str, Any]:
    """End an incident with its cause; the incident as it is then, as of the next two."""
    return posted(asked, f"{INCIDENTS}/{number}/resolve", {"cause": cause})


def strike(asked: Orchestrator, number: int, cause: int, reason: str) -> dict[str, Any]:
    """Strike the verdict's cause at the place `cause` out, from 1, and have the verdict drawn anew."""
    return posted(asked, f"{INCIDENTS}/{number}/strike", {"cause": cause, "reason": reason})


def add_output(asked: Orchestrator, number: int, check: str, output: str) -> dict[str, Any]:
    """Add what a check printed, by its name or "", and have the verdict drawn anew."""
    return posted(asked, f"{INCIDENTS}/{number}/check", {"check": check, "output": output})


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

"""What Prometheus's and Alertmanager's HTTP APIs have in common: a login, errors, metrics of themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

from techsapo_ops.adapters.basic_login import BasicLogin, within_the_stack
from techsapo_ops.adapters.http import Answer, fetch, send
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

LIMIT = 16 * 1024 * 1024


class ApiError(OpsError):
    """An API answered, but with an error or with something else than its JSON."""


@dataclass(frozen=True, slots=True)
class LastReload:
    """What a server tells of its last reload; `at` is when one succeeded last (Unix seconds)."""

    successful: bool
    at: float


class MonitoringServer:
    """A server of the stack's monitoring at `url`, asked with `login`; every call is over within `timeout`
    seconds.

    Each method raises Unreachable when nobody answers and ApiError when the answer is an error.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, login: BasicLogin | None = None) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._login = login
        self._trust = within_the_stack(self.url)

    def within(self, seconds: float) -> Self:
        """The same server, each of whose calls is over within `seconds`."""
        other = copy(self)
        other.timeout = seconds
        return other

    def ready(self) -> bool:
        """Whether it serves; false while Prometheus still replays its write-ahead log."""
        return self.fetch("-/ready").ok

    def own(self, metric: str) -> float | None:
        """The value of a metric without labels that it has of itself; None where it has none."""
        return own_metric(self.fetch("metrics").text, metric)

    def last_reload(self, name: str) -> LastReload | None:
        """What it tells of its last reload, in metrics that begin with `name`; None where it does not."""
        text = self.fetch("metrics").text
        word = own_metric(text, f"{name}_last_reload_successful")
        at = own_metric(text, f"{name}_last_reload_success_timestamp_seconds")
        return None if word is None else LastReload(word == 1.0, at or 0.0)

    def fetch(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET of `path`; one that refuses the login is an ApiError."""
        answer = fetch(
            f"{self.url}/{path}",
            timeout=self.timeout,
            limit=LIMIT,
            params=params,
            headers=self._headers(),
            trust=self._trust,
        )
        return self._let_in(answer)

    def send(self, path: str, content: bytes | None = None, *, method: str = "POST") -> Answer:
        """The answer to `content`, which is JSON; likewise."""
        answer = send(
            f"{self.url}/{path}",
            content,
            timeout=self.timeout,
            method=method,
            headers={"Content-Type": "application/json", **self._headers()},
            trust=self._trust,
        )
        return self._let_in(answer)

    def _headers(self) -> dict[str, str]:
        return {} if self._login is None else self._login.headers()

    def _let_in(self, answer: Answer) -> Answer:
        if answer.status == 401:
            hint = "" if self._login is None else self._login.hint
            raise ApiError(msg("{url}: HTTP 401: it asks for a login", url=answer.url), hint)
        return answer


def own_metric(text: str, metric: str) -> float | None:
    """The value of a metric without labels in a page of metrics; None where it is not there."""
    found = re.search(rf"^{metric} (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


def document_of(answer: Answer) -> Any:
    """The JSON of an answer. Raises ApiError where it is none, or was cut off."""
    if answer.truncated:
        raise ApiError(
            msg("{url}: the answer is longer than {limit} MB", url=answer.url, limit=LIMIT // 1024**2)
        )
    try:
        return json.loads(answer.body)
    except ValueError:
        raise ApiError(
            msg("{url}: HTTP {status} with something that is not JSON", url=answer.url, status=answer.status),
            msg("does another program listen on this port? `techsapo doctor` shows which"),
        ) from None

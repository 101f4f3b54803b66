"""What Prometheus's and Alertmanager's HTTP APIs have in common: a login, errors, metrics of themselves."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from techsapo_ops.adapters.http import Answer, BasicLogin, Unreachable, fetch, send, within_the_stack
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.unreachable import LOOK
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

LIMIT = 16 * 1024 * 1024
_NOT_NOW = frozenset({502, 503})
"""Statuses of one that will answer later: a Prometheus that replays its log, a proxy without it."""
_START = 10.0
"""Seconds that it may take, besides the request, until Python runs there."""
# Told on its standard input: a login is nobody's argument. It follows no redirect and uses no proxy, as
# adapters/http does. A connection that was made may have been read.
_ASKS = """
import base64, json, sys, urllib.error, urllib.request as r
a = json.load(sys.stdin)
class Stays(r.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
body = None if a["content"] is None else base64.b64decode(a["content"])
q = r.Request(a["url"], data=body, headers=a["headers"], method=a["method"])
try:
    try:
        answer = r.build_opener(r.ProxyHandler({}), Stays).open(q, timeout=a["timeout"])
    except urllib.error.HTTPError as error:
        answer = error
    read = answer.read(a["limit"] + 1)
    said = {"status": answer.status, "body": base64.b64encode(read).decode()}
except (OSError, ValueError) as error:
    why = getattr(error, "reason", error)
    said = {"error": str(why), "connected": not isinstance(error, urllib.error.URLError)}
print(json.dumps(said))
"""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, to be over within `timeout` seconds. `content` is JSON; a GET has `params` instead."""

    method: str
    url: str
    headers: Mapping[str, str]
    timeout: float
    params: Mapping[str, str] | None = None
    content: bytes | None = None


Way = Callable[[Question], Answer]
"""How requests get to a server: at most LIMIT bytes of the answer. Raises Unreachable where there is none."""


def straight(asked: Question) -> Answer:
    """The Way from this process, by HTTP."""
    trust = within_the_stack(asked.url)
    if asked.method == "GET":
        return fetch(
            asked.url, timeout=asked.timeout, limit=LIMIT, params=asked.params, headers=asked.headers,
            trust=trust,
        )  # fmt: skip
    return send(
        asked.url, asked.content, timeout=asked.timeout, method=asked.method, headers=asked.headers,
        trust=trust,
    )  # fmt: skip


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

    Several urls are of servers that know the same: the first that answers is asked, and goes on being asked
    for as long as it does. What it may have read of a change is not sent to another one.

    Each method raises Unreachable when nobody answers and ApiError when the answer is an error.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        timeout: float = 5.0,
        login: BasicLogin | None = None,
        way: Way = straight,
    ) -> None:
        self.urls = tuple(each.rstrip("/") for each in ([url] if isinstance(url, str) else url))
        self.timeout = timeout
        self._login = login
        self._way = way
        self._first = 0

    @property
    def url(self) -> str:
        """Of several, the one that answered last."""
        return self.urls[self._first]

    def each(self) -> Sequence[Self]:
        """Each of several by itself, the one that answered last first."""
        servers = []
        for number in self._order():
            other = copy(self)
            other.urls, other._first = (self.urls[number],), 0
            servers.append(other)
        return servers

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
        headers = self._headers()
        return self._ask(lambda url, left: self._way(Question("GET", f"{url}/{path}", headers, left, params)))

    def send(self, path: str, content: bytes | None = None, *, method: str = "POST") -> Answer:
        """The answer to `content`, which is JSON; likewise."""
        headers = {"Content-Type": "application/json", **self._headers()}
        return self._ask(
            lambda url, left: self._way(Question(method, f"{url}/{path}", headers, left, content=content)),
            again=method == "DELETE",
        )

    def _order(self) -> list[int]:
        count = len(self.urls)
        return [(self._first + n) % count for n in range(count)]

    def _ask(self, ask: Callable[[str, float], Answer], *, again: bool = True) -> Answer:
        """What the first says that answers; each gets an even share of the time that is left.

        `again`: also of one that may have read the question, another one is asked.
        """
        ends, order = time.monotonic() + self.timeout, self._order()
        refused: Answer | None = None
        for place, number in enumerate(order):
            others = len(order) - place
            left = self.timeout if len(order) == 1 else max(ends - time.monotonic(), 0.001) / others
            try:
                answer = ask(self.urls[number], left)
            except Unreachable as error:
                if (others == 1 and refused is None) or (error.connected and not again):
                    raise
                continue
            if answer.status in _NOT_NOW and others > 1:
                refused = refused or answer
                continue
            self._first = number
            return self._let_in(answer)
        assert refused is not None, "else the last one was raised"  # noqa: S101 - see above
        return self._let_in(refused)

    def _headers(self) -> dict[str, str]:
        return {} if self._login is None else self._login.headers()

    def _let_in(self, answer: Answer) -> Answer:
        if answer.status == 401:
            hint = "" if self._login is None else self._login.hint
            raise ApiError(msg("{url}: HTTP 401: a login is required", url=answer.url), hint)
        return answer


def own_metric(text: str, metric: str) -> float | None:
    """The value of a metric without labels in a page of metrics; None where it is not there."""
    match = re.search(rf"^{metric} (\S+)$", text, re.MULTILINE)
    return None if match is None else float(match[1])


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
            msg("{url}: HTTP {status}, but the answer is not JSON", url=answer.url, status=answer.status),
            msg("does another program listen on this port? `techsapo doctor` shows which"),
        ) from None


class NotEntered(Unreachable):
    """No container could be entered to ask from: the url, which leads nowhere from outside, is no news."""

    def __init__(self, why: OpsError) -> None:
        super().__init__("", why.message)
        self.message = msg("the monitoring can't be queried: {why}", why=why.message)
        self.hint = why.hint or LOOK
        self.args = (self.message,)


class Inside:
    """A Way of MonitoringServer; `run` runs a command there, within so many seconds, or raises OpsError."""

    def __init__(self, run: Callable[[Command, float], Completed], python: str = "python") -> None:
        self._run = run
        self._python = python

    def __call__(self, asked: Question) -> Answer:
        """The answer to `asked`. Raises Unreachable."""
        began = time.monotonic()
        url = f"{asked.url}?{urlencode(asked.params)}" if asked.params else asked.url
        request = {
            "method": asked.method,
            "url": url,
            "content": None if asked.content is None else base64.b64encode(asked.content).decode(),
            "headers": dict(asked.headers),
            "timeout": asked.timeout,
            "limit": LIMIT,
        }
        command = Command((self._python, "-c", _ASKS), stdin=json.dumps(request).encode())
        try:
            done = self._run(command, asked.timeout + _START)
        except NotEntered:
            raise
        except OpsError as error:
            raise Unreachable(url, error.message, connected=True) from None
        try:
            said = json.loads(done.stdout)
        except ValueError:
            why = msg("the query could not be run inside the stack: {output}", output=done.output[-200:])
            raise Unreachable(url, why) from None
        if "error" in said:
            raise Unreachable(url, said["error"], connected=said["connected"])
        body = base64.b64decode(said["body"])
        return Answer(url, said["status"], body[:LIMIT], len(body) > LIMIT, time.monotonic() - began)

"""HTTP requests that a Python somewhere else makes, such as one in a container of the stack's network."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

from techsapo_ops.adapters.away import LOOK
from techsapo_ops.adapters.http import Answer, Unreachable
from techsapo_ops.adapters.monitoring_server import LIMIT, Question
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

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


class NotEntered(Unreachable):
    """No container could be entered to ask from: the url, which leads nowhere from outside, is no news."""

    def __init__(self, why: OpsError) -> None:
        super().__init__("", why.message)
        self.message = msg("the monitoring can't be asked: {why}", why=why.message)
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
        told = {
            "method": asked.method,
            "url": url,
            "content": None if asked.content is None else base64.b64encode(asked.content).decode(),
            "headers": dict(asked.headers),
            "timeout": asked.timeout,
            "limit": LIMIT,
        }
        command = Command((self._python, "-c", _ASKS), stdin=json.dumps(told).encode())
        try:
            done = self._run(command, asked.timeout + _START)
        except NotEntered:
            raise
        except OpsError as error:
            raise Unreachable(url, error.message, connected=True) from None
        try:
            said = json.loads(done.stdout)
        except ValueError:
            why = msg("nobody inside the stack asked it: {output}", output=done.output[-200:])
            raise Unreachable(url, why) from None
        if "error" in said:
            raise Unreachable(url, said["error"], connected=said["connected"])
        body = base64.b64decode(said["body"])
        return Answer(url, said["status"], body[:LIMIT], len(body) > LIMIT, time.monotonic() - began)

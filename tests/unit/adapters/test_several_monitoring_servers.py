"""Several servers that know the same: which one is asked, and what is never asked twice."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.adapters.basic_login import BasicLogin
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.inside_http import Inside, NotEntered
from techsapo_ops.adapters.monitoring_server import ApiError, Way
from techsapo_ops.adapters.process import Command, Completed, SubprocessRunner
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.errors import OpsError

NOW = datetime(2026, 1, 2, tzinfo=UTC)
INSIDE: Way = Inside(
    lambda command, seconds: SubprocessRunner().run(command, timeout=seconds), sys.executable
)
SENT = 'alertmanager_notification_requests_total{integration="webhook"}'


class Server(HTTPServer):
    """Answers as both servers do; `status` is that of every answer, `asked` has each request."""

    def __init__(self, name: str, status: int = 200) -> None:
        self.name, self.status = name, status
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.server.asked.append((self.command, self.path))
        answers = {
            "/metrics": f"{SENT} {len(self.server.name)}\n",
            "/api/v2/silences": json.dumps({"silenceID": self.server.name} if self.command == "POST" else []),
        }
        text = answers.get(
            self.path,
            json.dumps({"status": "success", "data": {"version": self.server.name}}),
        )
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(name: str, status: int = 200) -> Iterator[Server]:
    with Server(name, status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def hanging() -> Iterator[str]:
    """One that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@each_row("way", [None, INSIDE], ids=["straight", "inside"])
def test_the_first_that_answers_is_asked_and_goes_on_being_asked(closed: str, way: Way | None) -> None:
    with serving("second") as second, serving("third") as third:
        more = {} if way is None else {"way": way}
        asked = Prometheus([closed, second.url, third.url], timeout=30, **more)
        assert [asked.version(), asked.version()] == ["second", "second"]
        assert asked.url == second.url
        assert third.asked == []


def test_one_that_hangs_leaves_time_for_the_others() -> None:
    with hanging() as first, serving("second") as second:
        asked = Prometheus([first, second.url], timeout=1)
        assert asked.version() == "second"
        assert len(second.asked) == 1


def test_one_that_is_not_ready_yet_is_passed_over_and_told_where_all_are() -> None:
    with serving("first", 503) as first, serving("second") as second:
        assert Prometheus([first.url, second.url], timeout=30).version() == "second"
        second.status = 503
        with pytest.raises(ApiError):
            Alertmanager([first.url, second.url], timeout=30).silences()


def test_a_silence_is_made_at_another_one_only_where_the_first_can_not_have_read_it(closed: str) -> None:
    matchers = [Matcher("alertname", "=", "AppDown")]
    with serving("second") as second:
        asked = Alertmanager([closed, second.url], timeout=30)
        assert asked.silence(matchers, NOW, NOW, "hanako", "") == "second"
        with hanging() as first:
            asked = Alertmanager([first, second.url], timeout=0.5)
            with pytest.raises(Unreachable):
                asked.silence(matchers, NOW, NOW, "hanako", "")
        assert len(second.asked) == 1


def test_what_several_sent_is_added_up(closed: str) -> None:
    with serving("three") as first, serving("2") as second:
        sent = Alertmanager([first.url, closed, second.url], timeout=30).sent("warning")
        assert sent["webhook"].delivered == len("three") + len("2")


def test_a_login_reaches_the_server_from_inside_and_is_no_argument(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush\n")
    seen: list[str] = []

    class Watched(Inside):
        pass

    def run(command: object, seconds: float) -> object:
        seen.append(str(command))
        return SubprocessRunner().run(command, timeout=seconds)  # type: ignore[arg-type] # a Command

    with serving("one") as server:
        way = Watched(run, sys.executable)  # type: ignore[arg-type] # likewise
        login = BasicLogin("techsapo", tmp_path / "password")
        assert Prometheus(server.url, login=login, way=way, timeout=30).version() == "one"
    assert "hush" not in seen[0]
    assert "Authorization" not in seen[0]


def test_where_no_host_can_be_entered_that_is_said_and_no_address_that_leads_nowhere_from_here() -> None:
    def run(command: Command, seconds: float) -> Completed:
        raise NotEntered(OpsError("a: Connection timed out", "look at it"))

    prometheus = Prometheus(["http://prometheus-a:9090", "http://prometheus-b:9090"], way=Inside(run))
    with pytest.raises(Unreachable) as refused:
        prometheus.version()
    assert refused.value.message == "the monitoring can't be asked: a: Connection timed out"
    assert refused.value.hint == "look at it"

"""Prometheus and Alertmanager as they are asked: their answers, refusals and logins, one of several."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.http_server import Answering, Asked, answering
from rows import each_row

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Sent
from techsapo_ops.adapters.http import BasicLogin, Unreachable, basic_authorization
from techsapo_ops.adapters.monitoring_server import ApiError, Inside, LastReload, NotEntered, Way
from techsapo_ops.adapters.probe import probe
from techsapo_ops.adapters.process import Command, Completed, SubprocessRunner
from techsapo_ops.adapters.prometheus import Prometheus, Promtool, Sample
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.service import Probe

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PASSWORD = "鍵 of its own"
RELOADS = b"""prometheus_config_last_reload_successful 1
prometheus_config_last_reload_success_timestamp_seconds 1.7957004162850106e+09
alertmanager_config_last_reload_successful 0
alertmanager_config_last_reload_success_timestamp_seconds 1.5e+09
"""


def says(value: object, code: int = 200) -> AbstractContextManager[Answering]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return answering(lambda _: (code, body))


def test_values_that_are_no_numbers_in_json_are_read() -> None:
    result = [
        {"metric": {"job": str(n)}, "value": [1.5, v]} for n, v in enumerate(["+Inf", "-Inf", "NaN", "2.5"])
    ]
    with says({"status": "success", "data": {"resultType": "vector", "result": result}}) as server:
        values = [sample.value for sample in Prometheus(server.url).query("x")]
    assert values[:2] + values[3:] == [math.inf, -math.inf, 2.5]
    assert math.isnan(values[2])


ERROR = {"status": "error", "errorType": "bad_data", "error": "unexpected end of input"}


@each_row(
    "value, code, told",
    [
        (ERROR, 400, "unexpected end of input"),
        (b"<html>", 200, None),
        (b"[]", 200, None),
        (b"3", 200, None),
        (b'{"status": "success"}', 200, None),
        (b'{"status": "success", "data": 1}', 200, None),
    ],
)
def test_what_prometheus_refuses_and_another_program_on_its_port_are_told_with_the_address(
    value: object, code: int, told: str | None
) -> None:
    with says(value, code) as server, pytest.raises(ApiError, match=told) as caught:
        Prometheus(server.url).query("x")
    assert server.url in str(caught.value)


def test_a_range_vector_is_refused_with_a_hint() -> None:
    matrix = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    with says(matrix) as server, pytest.raises(ApiError, match="returns a matrix"):
        Prometheus(server.url).query("x[5m]")


@each_row(
    "value, code, told",
    [
        (b"boom", 500, "HTTP 500: boom"),
        ({}, 200, "not an answer from Alertmanager"),
        ([{"labels": {}}], 200, "not an answer from Alertmanager"),
        (["firing"], 200, "not an answer from Alertmanager"),
    ],
)
def test_alertmanager_s_error_status_and_odd_answers_are_told(value: object, code: int, told: str) -> None:
    with says(value, code) as server, pytest.raises(ApiError, match=told):
        Alertmanager(server.url).alerts()
    with says([]) as server, pytest.raises(ApiError, match="not an answer from Alertmanager"):
        Alertmanager(server.url).status()


def guarded(password: str) -> AbstractContextManager[Answering]:
    """A server that answers 401 without the password of techsapo; where that is empty, it asks for none."""
    expected = basic_authorization("techsapo", password)["Authorization"]

    def answer(asked: Asked) -> tuple[int, bytes]:
        if password and asked.headers.get("Authorization") != expected:
            return 401, b"Unauthorized\n"
        return 200, RELOADS if asked.path == "/metrics" else b"[]"

    return answering(answer)


@pytest.fixture
def login(tmp_path: Path) -> BasicLogin:
    file = tmp_path / "alertmanager-password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return BasicLogin("techsapo", file)


def test_the_password_is_read_anew_for_each_request(login: BasicLogin) -> None:
    with guarded(PASSWORD) as server:
        client = Alertmanager(server.url, login=login)
        assert client.alerts() == ()
        login.password_file.write_text("another")
        with pytest.raises(ApiError, match="HTTP 401: a login is required"):
            client.alerts()


def test_what_only_root_may_read_is_told_where_a_login_is_refused(login: BasicLogin) -> None:
    gone = BasicLogin("techsapo", login.password_file.with_name("gone"))
    with guarded("another") as server:
        with pytest.raises(ApiError) as caught:
            Alertmanager(server.url, login=login).silence((Matcher.parse("a=b"),), NOW, NOW, "me", "why")
        assert str(login.password_file) in caught.value.hint
        assert "try sudo" in caught.value.hint
        with pytest.raises(ApiError) as caught:
            Prometheus(server.url, login=gone).targets()
        assert "`techsapo up` creates it" in caught.value.hint
    with guarded("") as server:
        assert Alertmanager(server.url, login=gone).alerts() == (), "one that asks for no login"


def test_the_last_reload_is_told_by_each_server_of_itself(login: BasicLogin) -> None:
    with guarded(PASSWORD) as server:
        assert Prometheus(server.url, login=login).reloaded() == LastReload(True, 1795700416.2850106)
        assert Alertmanager(server.url, login=login).reloaded() == LastReload(False, 1.5e9)


def test_a_probe_logs_in_and_shows_no_password() -> None:
    with guarded(PASSWORD) as server:
        ready, address = Probe("http", "/-/ready"), Address("127.0.0.1", server.server_port)
        found = probe(ready, address, timeout=5, user="techsapo", password=PASSWORD)
        assert (found.ok, found.status, found.detail) == (True, 200, "HTTP 200")
        found = probe(ready, address, timeout=5)
        assert (found.ok, found.status, found.detail) == (False, 401, "HTTP 401: Unauthorized")


NAMED = b"""\
alertmanager_notifications_total{integration="webhook",receiver_name="critical"} 3
alertmanager_notifications_total{integration="webhook",receiver_name="watchdog"} 90
alertmanager_notifications_failed_total{integration="webhook",reason="clientError",receiver_name="critical"} 0
alertmanager_notifications_failed_total{integration="webhook",reason="other",receiver_name="critical"} 1
alertmanager_notifications_failed_total{integration="webhook",reason="other",receiver_name="watchdog"} 7
alertmanager_notification_requests_total{integration="webhook",receiver_name="critical"} 6
alertmanager_notification_requests_failed_total{integration="webhook",receiver_name="critical"} 5
alertmanager_notification_requests_failed_total{integration="webhook",receiver_name="watchdog"} 12
"""
UNNAMED = b"""\
alertmanager_notifications_total{integration="webhook"} 93
alertmanager_notifications_failed_total{integration="webhook",reason="other"} 8
alertmanager_notification_requests_total{integration="webhook"} 101
alertmanager_notification_requests_failed_total{integration="webhook"} 17
"""


@each_row("metrics, sent", [(NAMED, Sent(3, 1, 5, 1)), (UNNAMED, Sent(93, 84, 17, 8))])
def test_a_receiver_s_notifications_are_counted_without_the_watcher_s_beats(
    metrics: bytes, sent: Sent
) -> None:
    with says(metrics) as server:
        assert Alertmanager(server.url).sent("critical") == {"webhook": sent}


INSIDE: Way = Inside(
    lambda command, seconds: SubprocessRunner().run(command, timeout=seconds), sys.executable
)


def serving(name: str, status: int = 200) -> AbstractContextManager[Answering]:
    """Answers as both servers do, by its name."""

    def answer(asked: Asked) -> tuple[int, bytes]:
        silences = {"silenceID": name} if asked.method == "POST" else []
        answers = {
            "/metrics": f'alertmanager_notification_requests_total{{integration="webhook"}} {len(name)}\n',
            "/api/v2/silences": json.dumps(silences),
        }
        version = json.dumps({"status": "success", "data": {"version": name}})
        return status, answers.get(asked.path, version).encode()

    return answering(answer)


@contextmanager
def hanging() -> Iterator[str]:
    """One that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed() -> Iterator[str]:
    """An address that refuses; its port is held, so that no server of the test can get it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


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
        assert Prometheus([first, second.url], timeout=1).version() == "second"
        assert len(second.asked) == 1


def test_one_that_is_not_ready_yet_is_passed_over_and_told_where_all_are() -> None:
    with serving("first", 503) as first, serving("second") as second:
        assert Prometheus([first.url, second.url], timeout=30).version() == "second"
        with pytest.raises(ApiError):
            Alertmanager([first.url, first.url], timeout=30).silences()


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


def test_a_login_reaches_the_server_from_inside_and_is_no_argument(login: BasicLogin) -> None:
    seen: list[str] = []

    def run(command: Command, seconds: float) -> Completed:
        seen.append(str(command))
        return SubprocessRunner().run(command, timeout=seconds)

    with guarded(PASSWORD) as server:
        assert (
            Alertmanager(server.url, login=login, way=Inside(run, sys.executable), timeout=30).alerts() == ()
        )
    assert PASSWORD not in seen[0]
    assert "Authorization" not in seen[0]


def test_where_no_host_can_be_entered_that_is_said_and_no_address_that_leads_nowhere_from_here() -> None:
    def run(command: Command, seconds: float) -> Completed:
        raise NotEntered(OpsError("a: Connection timed out", "look at it"))

    prometheus = Prometheus(["http://prometheus-a:9090", "http://prometheus-b:9090"], way=Inside(run))
    with pytest.raises(Unreachable) as refused:
        prometheus.version()
    assert refused.value.message == "the monitoring can't be queried: a: Connection timed out"
    assert refused.value.hint == "look at it"


VECTOR = (
    b'{"status":"success","data":{"resultType":"vector","result":'
    b'[{"metric":{"job":"a"},"value":[12.5,"7"]},{"metric":{},"value":[12.5,"+Inf"]}]}}'
)
SCALAR = b'{"status":"success","data":{"resultType":"scalar","result":[12.5,"7"]}}'


def promtool(url: str, folder: Path) -> Promtool:
    def run(command: Command) -> Completed:
        done = subprocess.run(command.argv, capture_output=True, cwd=folder, check=False)
        return Completed(command, done.returncode, done.stdout, done.stderr)

    return Promtool(url, run)


@pytest.mark.needs("promtool")
def test_by_promtool_a_vector_and_a_metric_of_its_own_are_read_and_what_is_neither_is_an_error(
    tmp_path: Path,
) -> None:
    def answer(asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        json_type = {"Content-Type": "application/json"}
        if asked.method == "GET":
            return 200, b"# TYPE loaded gauge\nloaded 4\nloaded_too 5\n", {}
        if b"count" in asked.body:
            return 400, json.dumps({**ERROR, "error": "parse error: unclosed"}).encode(), json_type
        return 200, SCALAR if b"query=7" in asked.body else VECTOR, json_type

    with answering(answer) as server:
        there = promtool(server.url, tmp_path)
        assert there.query("up") == (Sample({"job": "a"}, 7, 12.5), Sample({}, math.inf, 12.5))
        assert (there.own("loaded"), there.own("load")) == (4, None)
        assert list(tmp_path.iterdir()) == [], "no archive is left"
        with pytest.raises(ApiError, match=rf"^{server.url}: bad_data: parse error: unclosed"):
            there.query("count(")
        with pytest.raises(ApiError, match=r"promtool answers .* to '7'"):
            there.query("7")


@pytest.mark.needs("promtool")
def test_by_promtool_one_that_is_down_is_an_error(tmp_path: Path) -> None:
    down = promtool("http://127.0.0.1:1", tmp_path)
    for ask in (lambda: down.query("up"), lambda: down.own("loaded")):
        with pytest.raises(ApiError, match="refused"):
            ask()

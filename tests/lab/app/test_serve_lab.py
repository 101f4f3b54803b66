"""`techsapo serve` as a real process: draining, broken requests, Redis."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import warm
from orchestrator import QUICK, ask, log_lines, serving, share_key
from pool import Pool
from servers import Server, http_ok, redis, wait_for

from techsapo_ops.stores.shared import ANSWERS

pytestmark = pytest.mark.lab


class Load:
    """Requests one after the other in some threads; each on a new connection or all on kept ones."""

    def __init__(self, server: Server, threads: int = 6) -> None:
        self._server = server
        self._stop = threading.Event()
        self.answered = 0
        self.failures: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)
        ]

    def _run(self, number: int) -> None:
        keep = httpx.Limits(max_keepalive_connections=1 if number % 2 else 0)
        with httpx.Client(trust_env=False, timeout=60, limits=keep) as client:
            sent = 0
            while not self._stop.is_set():
                sent += 1
                try:
                    if number % 3:
                        body = {"prompt": f"question {number} {sent}"}
                        response = client.post(f"{self._server.url}/api/v1/generate", json=body)
                    else:
                        response = client.get(f"{self._server.url}/health")
                    failure = "" if response.status_code == 200 else f"HTTP {response.status_code}"
                except httpx.HTTPError as error:
                    failure = f"{type(error).__name__}: {error}"
                with self._lock:
                    if failure:
                        self.failures.append((time.monotonic(), failure))
                    else:
                        self.answered += 1
                if failure:
                    time.sleep(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_no_request_fails_until_the_drain_ends(tmp_path: Path) -> None:
    drain = 3.0
    with serving(tmp_path, app={"drain": f"{drain:.0f}s"}) as server:
        with Load(server) as load:
            wait_for(lambda: load.answered > 100, what="load")
            told = time.monotonic()
            os.kill(server.process.pid, signal.SIGTERM)
            wait_for(lambda: not http_ok(f"{server.url}/ping"), what="not ready")
            answer = httpx.get(f"{server.url}/ping", trust_env=False, timeout=60)
            assert (answer.status_code, answer.text) == (503, "draining\n")
            before = load.answered
            wait_for(lambda: server.process.poll() is not None, what="exit")
            assert load.answered > before, "no new request was served while draining"
        assert server.process.returncode == 0
    # After the drain nobody listens, and nothing but that fails: refused, or reset where it was in the queue.
    nobody = {
        "ConnectError: [Errno 111] Connection refused",
        "ReadError: [Errno 104] Connection reset by peer",
    }
    assert {what for _, what in load.failures} <= nobody
    assert not [what for when, what in load.failures if when < told + drain]


def test_an_answer_under_way_is_finished_after_the_drain(tmp_path: Path) -> None:
    slow = {name: {**p, "latency": "1500ms"} for name, p in QUICK.items()}
    with serving(tmp_path, app={"drain": "100ms"}, providers=slow) as server:
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(ask(server, "x")))
        thread.start()
        metrics = f"{server.url}/metrics"
        wait_for(
            lambda: "techsapo_inflight_analyses 1.0" in httpx.get(metrics, trust_env=False, timeout=60).text,
            what="under way",
        )
        os.kill(server.process.pid, signal.SIGTERM)
        thread.join()
        assert answers[0].status_code == 200
        wait_for(lambda: server.process.poll() is not None, what="exit")
        assert server.process.returncode == 0


def test_a_second_signal_skips_the_waiting(tmp_path: Path) -> None:
    with serving(tmp_path, app={"drain": "10m"}) as server:
        os.kill(server.process.pid, signal.SIGTERM)
        wait_for(lambda: not http_ok(f"{server.url}/ping"), what="draining")
        os.kill(server.process.pid, signal.SIGINT)
        wait_for(lambda: server.process.poll() is not None, what="exit")
        assert server.process.returncode == 0


def test_a_taken_port_is_told_plainly(shared: Pool, tmp_path: Path) -> None:
    server = shared.app()
    argv = [
        sys.executable, "-m", "techsapo_ops", "serve", "--file", str(server.directory / "techsapo.yaml"),
        "--port", str(server.port), "--data", str(tmp_path / "other"),
    ]  # fmt: skip
    done = warm.run(argv, text=True)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: the port is taken by" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_is_json_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ask(server, "disk full")
    told = log_lines(server)
    assert all(next(iter(line)) == "timestamp" for line in told)
    assert "Wall-bounce analysis completed" in {line["message"] for line in told}
    assert told[-1]["message"].startswith("Finished server process")


def test_chunked_bodies_are_bounded_and_slow_ones_hold_nobody_up(shared: Pool) -> None:
    server = shared.app()
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /api/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
        chunks = (b"x" * 65536 for _ in range(64))
        response = httpx.post(f"{server.url}/api/v1/generate", content=chunks, trust_env=False, timeout=60)
        assert response.status_code == 413
        assert ask(server, "still here?").status_code == 200


def test_broken_http_is_answered_400_and_the_server_lives_on(shared: Pool) -> None:
    hostile = [
        b"POST /api/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    ]
    server = shared.app()
    for raw in hostile:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as link:
            first = b""
            with suppress(OSError):  # the server may have closed it by then
                link.sendall(raw)
                link.shutdown(socket.SHUT_WR)
                first = link.recv(65536)
        assert not first or first.startswith(b"HTTP/1.1 4"), first[:200]
    assert ask(server, "still here?").status_code == 200


def cache_of(server: Server) -> str:
    body = httpx.get(f"{server.url}/api/v1/health", trust_env=False, timeout=60).json()
    return str(body["dependencies"]["cache"]["in_use"])


def cached(server: Server, prompt: str) -> bool:
    """Ask, and say whether the answer came from a cache; on a busy machine Redis may time out once."""
    return bool(ask(server, prompt).json()["cache"] == "hit")


def in_a_row(app: Server) -> list[float]:
    """Redis operations that failed in a row, of each use and kind that was tried."""
    lines = httpx.get(f"{app.url}/metrics", trust_env=False, timeout=60).text.splitlines()
    return [float(line.split()[1]) for line in lines if line.startswith("techsapo_redis_consecutive_errors{")]


def test_redis_may_die_and_come_back_without_a_failed_request(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as first:
        settings = {"enabled": True, "port": first.port}
        with serving(tmp_path / "app", redis=settings) as app:
            assert cache_of(app) == "redis"
            wait_for(lambda: cached(app, "one"), what="redis is used")
            with Load(app, threads=3) as load:
                wait_for(lambda: load.answered > 50, what="load")
                first.kill()
                wait_for(lambda: cache_of(app) == "memory", what="memory takes over")
                wait_for(lambda: cached(app, "two"), what="memory is used")
                with redis(tmp_path / "redis", port=first.port):
                    wait_for(lambda: cache_of(app) == "redis", what="redis is used again")
                    wait_for(lambda: cached(app, "three"), what="redis is used")
                    wait_for(lambda: set(in_a_row(app)) == {0.0}, what="no errors in a row")
            assert load.failures == []
    told = [
        line["message"]
        for line in log_lines(app)
        if line.get("used_for", "").endswith(f":{ANSWERS}:") and "Redis" in line["message"]
    ]
    # A busy machine may miss the time-out more than once; every time is told once, and so is its end.
    assert len(told) >= 2
    assert set(told[::2]) == {"Redis is not available; this instance goes on alone"}
    assert set(told[1::2]) == {"Redis is available again"}


def test_a_stopped_redis_slows_no_request_beyond_its_time_out(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as server:
        settings = {"enabled": True, "port": server.port}
        with serving(tmp_path / "app", redis=settings) as app:
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                for n in range(10):
                    assert ask(app, f"question {n}").status_code == 200
                assert cache_of(app) == "memory"
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            wait_for(lambda: cache_of(app) == "redis", what="redis is used again")


def test_who_waits_for_another_instances_answer_is_told_so_at_once(tmp_path: Path) -> None:
    endless = {n: {**p, "latency": "50s"} for n, p in QUICK.items()}
    with (
        redis(tmp_path / "redis", password="lab's pass") as server,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        settings = {"enabled": True, "port": server.port, "password": "lab's pass"}
        share_key(tmp_path / "a", tmp_path / "b")
        headers, body = {"Accept": "text/event-stream"}, {"prompt": "the same"}
        with (
            serving(tmp_path / "a", redis=settings, providers=endless) as a,
            serving(tmp_path / "b", redis=settings, providers=endless) as b,
            client.stream("POST", f"{a.url}/api/v1/generate", json=body, headers=headers) as first,
        ):
            lines = first.iter_lines()  # kept: the connection ends with it
            assert next(lines) == "event: asked"
            with client.stream("POST", f"{b.url}/api/v1/generate", json=body, headers=headers) as second:
                assert next(second.iter_lines()) == "event: waiting"

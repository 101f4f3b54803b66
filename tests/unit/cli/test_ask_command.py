from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rows import each_row
from servers import free_port

from techsapo_ops.cli import main as cli
from techsapo_ops.cli.app.orchestrator import candidates
from techsapo_ops.spec.models import Spec

ANSWER: dict[str, Any] = {
    "request_id": "req_1", "task_type": "basic", "language": "ja", "answered_by": "sim-a", "accepted": False,
    "answer": "（シミュレーション）「df -h」で空き容量を確認します。", "confidence": 0.655, "consensus": 0.71,
    "thresholds": {"confidence": 0.7, "consensus": 0.6}, "calibrated": False, "provisional": True,
    "simulated": True, "notes": ["confidence_below_threshold"], "cost_usd": 0.00123, "processing_ms": 413,
    "cache": "miss",
    "providers": [
        {"name": "sim-a", "model": "simulated-1", "status": "answered", "answer": "…", "self_confidence": 0.9,
         "seconds": 0.412, "cost_usd": 0.00123, "tokens": {"input": 1, "output": 2}},
        {"name": "sim-b", "model": "simulated-2", "status": "failed", "seconds": 60.0, "cost_usd": 0.0,
         "error": {"kind": "timeout", "message": "no answer within 60 s"}},
    ],
}  # fmt: skip
PROBLEM = {
    "title": "Service Unavailable", "status": 503, "code": "overloaded", "request_id": "req_2",
    "detail": "64 analyses are already in progress",
}  # fmt: skip


class Orchestrator(ThreadingHTTPServer):
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.ping = (200, "pong\n")
        self.answers(ANSWER)
        self.before: list[tuple[int, bytes] | None] = []
        """What is answered before `reply`, one after the other; None: the connection is cut."""
        self.keys: list[str] = []
        self.ids: list[str | None] = []

    def answers(self, document: dict[str, Any], status: int = 200) -> None:
        self.reply: tuple[int, bytes] = (status, json.dumps(document).encode())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Orchestrator

    def do_GET(self) -> None:
        self._send(self.server.ping[0], self.server.ping[1].encode())

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.keys.append(self.headers["Idempotency-Key"])
        self.server.ids.append(self.headers["X-Request-ID"])
        reply = self.server.before.pop(0) if self.server.before else self.server.reply
        if reply is not None:
            self._send(*reply)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def orchestrator() -> Iterator[Orchestrator]:
    """A running stand-in."""
    server = Orchestrator()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


class Said(NamedTuple):
    code: int
    out: str
    err: str


Ask = Callable[..., Said]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`techsapo ask WORDS`; a question is sent again without a pause, and a parallel run wraps no line."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("techsapo_ops.cli.app.orchestrator.PAUSE", 0.0)

    def run(*words: str, command: str = "ask") -> Said:
        monkeypatch.setattr("sys.argv", ["techsapo", command, *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Said(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_the_answer_is_followed_by_scores_and_what_each_provider_took(
    orchestrator: Orchestrator, ask: Ask
) -> None:
    said = ask("ディスクが一杯", "--url", orchestrator.url)
    assert said.code == 0
    assert orchestrator.asked == [{"prompt": "ディスクが一杯", "task_type": "basic"}]
    told = [" ".join(line.split()) for line in said.out.splitlines()]
    assert told[0].startswith("There is only one answer"), "the verdict in one sentence comes first"
    assert told[2] == ANSWER["answer"]
    assert "confidence 0.66 needs 0.70" in told or "confidence 0.65 needs 0.70" in told
    assert "consensus 0.71 needs 0.60" in told
    assert "accepted no provisional: scores are not calibrated" in told
    assert "note confidence is below the threshold" in told
    assert "sim-a simulated-1 answered 0.41 s $0.001230" in told
    assert "sim-b simulated-2 failed: timeout 60.00 s $0.000000" in told
    assert told[-1].startswith("simulated:")


def test_of_a_log_the_end_is_sent_as_material_and_what_else_is_known_beside_it(
    orchestrator: Orchestrator, tmp_path: Path, ask: Ask
) -> None:
    (tmp_path / "nginx.log").write_text("old\n" * 20_000 + "No space left on device\n")
    facts = {"problem_category": "disk", "severity": "high", "root_cause": "the disk is full"}
    orchestrator.answers({"request_id": "req_1", **facts, "solution_steps": ["df -h"], "analysis": ANSWER})
    words = ("--log", str(tmp_path / "nginx.log"), "--command", "systemctl start nginx", "after an update")
    said = ask(*words, "--url", orchestrator.url)
    assert said.code == 0
    [asked] = orchestrator.asked
    assert asked["error_output"].endswith("No space left on device\n")
    assert len(asked["error_output"]) < 20_000
    assert (asked["user_command"], asked["system_context"]) == ("systemctl start nginx", "after an update")
    assert "the disk is full" in said.out
    assert " 1. df -h" in said.out
    assert "characters were sent" in said.err


@each_row("failure", [None, (502, b"<html>"), (503, json.dumps(PROBLEM).encode()), (504, b"")])
def test_a_question_is_sent_again_once_by_the_same_key(
    orchestrator: Orchestrator, ask: Ask, failure: tuple[int, bytes] | None
) -> None:
    orchestrator.keys.clear()
    orchestrator.before = [failure]
    said = ask("x", "--url", orchestrator.url)
    assert (said.code, "asking once more" in said.err) == (0, True)
    assert ask("x", "--url", orchestrator.url).code == 0
    first, again, fresh = orchestrator.keys
    assert first == again != fresh


def test_a_question_is_not_sent_a_third_time_nor_after_a_refusal(
    orchestrator: Orchestrator, ask: Ask
) -> None:
    orchestrator.before = [None, None]
    assert ask("x", "--url", orchestrator.url).code == 1
    assert len(orchestrator.asked) == 2
    orchestrator.answers({**PROBLEM, "status": 422, "code": "invalid_request"}, 422)
    assert ask("x", "--url", orchestrator.url).code == 1
    assert len(orchestrator.asked) == 3


def test_a_problem_is_told_with_its_code_and_what_to_try(orchestrator: Orchestrator, ask: Ask) -> None:
    orchestrator.answers(PROBLEM, 503)
    said = ask("x", "--url", orchestrator.url)
    assert (said.code, said.out) == (1, "")
    assert "64 analyses are already in progress [overloaded]" in said.err
    assert "try again in a moment" in said.err
    causes = {"a": "key", "b": "money", "c": "key", "d": "of a later version"}
    providers = [
        {"name": name, "error": {"kind": "refused", "cause": cause, "message": "no"}}
        for name, cause in causes.items()
    ]
    orchestrator.answers({**PROBLEM, "status": 502, "code": "providers_failed", "providers": providers}, 502)
    refused = ask("x", "--url", orchestrator.url)
    told = " ".join(refused.err.split())
    assert (refused.code, told.count("put a valid key")) == (1, 1)
    assert "add credit" in told


def test_json_is_the_servers_document_and_nothing_else(orchestrator: Orchestrator, ask: Ask) -> None:
    said = ask("x", "--tier", "critical", "--json", "--url", f"{orchestrator.url}/")
    assert (said.code, json.loads(said.out)) == (0, ANSWER)
    assert orchestrator.asked[0]["task_type"] == "critical"


def test_a_dash_reads_the_question_from_stdin(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    piped = io.BytesIO("1行目\n2行目 ".encode() + b"\xff\xfe\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(piped, encoding="utf-8"))
    assert ask("-", "--url", orchestrator.url).code == 0
    assert orchestrator.asked[0]["prompt"] == "1行目\n2行目 \ufffd\ufffd\n"


@each_row("url", ["localhost:4000", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://[::1"])
def test_an_address_that_is_none_is_wrong_usage(ask: Ask, url: str) -> None:
    said = ask("x", "--url", url)
    assert (said.code, said.err) == (
        2, f"error: --url: {url!r} is not an address\ntry: write e.g. http://127.0.0.1:4000\n",
    )  # fmt: skip


@each_row("key", ["鍵", "a\nb", "\udcff"])
def test_a_key_that_no_header_can_carry_is_told_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, ask: Ask, key: str
) -> None:
    monkeypatch.setenv("TECHSAPO_API_KEY", key)
    said = ask("x", "--url", "http://127.0.0.1:9")
    assert said.code == 2
    assert "TECHSAPO_API_KEY contains characters that an API key cannot have" in said.err
    assert key not in said.err


def test_a_wide_answer_is_left_to_the_terminal_so_that_a_command_in_it_is_copied_whole(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    long = {**ANSWER, "answer": "「docker compose up -d」で再作成します。" * 30}
    orchestrator.answers(long)
    monkeypatch.setenv("COLUMNS", "60")
    assert ask("x", "--url", orchestrator.url).out.splitlines()[2] == long["answer"]


@each_row("body", [b"<html>hello</html>", b"[]", b"{}", b"", b'{"cut": ', b"[" * 100_000])
def test_something_else_at_that_address_is_told_plainly(
    orchestrator: Orchestrator, ask: Ask, body: bytes
) -> None:
    orchestrator.reply = (200, body)
    for command, *words in (("ask", "x"), ("feedback", "r", "right")):
        said = ask(*words, "--url", orchestrator.url, command=command)
        assert said.code == 1
        assert "the answer is not from the orchestrator" in said.err


def test_an_empty_question_is_wrong_usage(ask: Ask) -> None:
    assert ask(" ", "--url", "http://127.0.0.1:9").code == 2


def write_spec(directory: Path, *ports: int) -> str:
    path = directory / "techsapo.yaml"
    instances = "".join(f"\n    - {{port: {port}}}" for port in ports)
    path.write_text(f"project: techsapo\nnginx: {{enabled: false}}\napp:\n  instances:{instances}\n")
    return str(path)


def test_the_first_instance_that_wants_requests_is_asked(
    orchestrator: Orchestrator, tmp_path: Path, ask: Ask
) -> None:
    draining = Orchestrator()
    draining.ping = (503, "draining\n")
    threading.Thread(target=draining.serve_forever, args=(0.02,), daemon=True).start()
    ports = free_port(), int(draining.server_address[1]), int(orchestrator.server_address[1])
    assert ask("x", "--file", write_spec(tmp_path, *ports)).code == 0
    draining.shutdown()
    draining.server_close()
    assert (len(draining.asked), len(orchestrator.asked)) == (0, 1)


def test_an_app_that_is_not_running_is_told_with_the_command_that_starts_it(tmp_path: Path, ask: Ask) -> None:
    port = free_port()
    said = ask("x", "--file", write_spec(tmp_path, port))
    assert said.code == 1
    assert f"the orchestrator is not running (http://127.0.0.1:{port}: connection refused)" in said.err
    assert "`techsapo up` starts the orchestrator" in said.err


HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
THREE: dict[str, Any] = {
    "engine": "swarm", "hosts": HOSTS, "floating_address": "10.0.0.100/24", "mysql": {},
}  # fmt: skip
SITE = {"certificates": {"c": {"names": ["a.example"]}}}
BACKUP_FIRST = {"instances": [{"port": 1, "backup": True}, {"port": 2}]}
FRONTS = [f"http://{host}:8080" for host in ("127.0.0.1", "10.0.0.100", "10.0.0.1", "10.0.0.2", "10.0.0.3")]


@each_row(
    "sections, expected",
    [
        ({}, ["http://127.0.0.1:4000"]),
        ({"app": BACKUP_FIRST}, ["http://127.0.0.1:8080", "http://127.0.0.1:2", "http://127.0.0.1:1"]),
        ({"app": {"host": "::"}}, ["http://[::1]:4000"]),
        (SITE, ["http://127.0.0.1:4000"]),
        ({"app": {"host": "192.0.2.1"}}, ["http://192.0.2.1:4000"]),
        ({"app": {"host": "192.0.2.1"}, **SITE}, ["https://127.0.0.1:8443", "http://192.0.2.1:4000"]),
        (THREE, FRONTS),
        ({**THREE, "nginx": {"tls_listen": 443}, **SITE}, ["https://127.0.0.1:443", "https://a.example"]),
    ],
)
def test_nginx_comes_first_and_backups_last(sections: dict[str, Any], expected: list[str]) -> None:
    assert candidates(Spec.model_validate({"project": "techsapo", **sections})) == expected

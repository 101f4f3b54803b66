"""What people add to an incident by `techsapo why`, against the app itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import in_process
from fakes.http_server import Asked, answering
from rows import each_row

CAUSE = {"cause": "the disk is \x1b[31mfull", "evidence": ["L1", "M1"], "members": ["first"]}
DRAWN = {
    "causes": [CAUSE],
    "struck": [{"cause": "Redis is down", "reason": "it answers"}],
    "checks": [{"check": "space_below", "argv": ["du", "-xh", "/var/log/a b"]}],
}


@contextmanager
def app(investigation: str = "done", status: int = 200) -> Iterator[Any]:
    """An app that has incident 12; tests/lab/incidents has the real one."""

    def answer(asked: Asked) -> tuple[int, bytes]:
        if status != 200:
            said: dict[str, Any] = {"detail": "there is no verdict on this incident yet", "code": "conflict"}
        elif asked.path.endswith("/investigate"):
            said = {"request_id": "req_1", "text": "probably: the disk", "verdict": {"verdict": DRAWN}}
        else:
            said = {"number": 12, "cause": "a log filled it", "investigation": investigation}
        return status, json.dumps(said).encode()

    with answering(answer) as server:
        yield server


def why(folder: Path, server: Any, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin"}
    return in_process.techsapo(folder, "why", *words, "--url", server.url, env=env, stdin=stdin)


def posted(server: Any) -> list[tuple[str, Any]]:
    return [(asked.path.removeprefix("/api/v1/incidents/"), json.loads(asked.body)) for asked in server.asked]


def test_an_incident_is_shown_with_what_its_causes_and_checks_are_called(tmp_path: Path) -> None:
    with app() as server:
        done = why(tmp_path, server, "12")
    assert done.stdout.splitlines() == [
        "probably: the disk",
        "cause 1: the disk is \N{REPLACEMENT CHARACTER}[31mfull [L1, M1] (first)",
        "struck out: Redis is down (it answers)",
        "check space_below: du -xh '/var/log/a b'",
    ]


@each_row("from_stdin", [True, False])
def test_what_a_check_printed_is_added_and_the_verdict_shown_anew(tmp_path: Path, from_stdin: bool) -> None:
    (tmp_path / "df.txt").write_text("100% /var")
    file, stdin = ("-", "100% /var") if from_stdin else ("df.txt", "")
    with app() as server:
        done = why(tmp_path, server, "12", "--check", "disk_space", "--output", file, stdin=stdin)
    assert done.returncode == 0
    assert posted(server)[0] == ("12/check", {"check": "disk_space", "output": "100% /var"})
    assert done.stdout.startswith("probably: the disk\n")


def test_where_no_cause_is_left_it_says_that_the_providers_are_asked_again(tmp_path: Path) -> None:
    with app("due") as server:
        done = why(tmp_path, server, "12", "--strike", "1", "--reason", "it has room")
    assert posted(server)[0] == ("12/strike", {"cause": 1, "reason": "it has room"})
    assert "the providers are asked again" in done.stderr


def test_a_person_ends_an_incident_and_programs_get_it_as_it_then_is(tmp_path: Path) -> None:
    with app() as server:
        assert why(tmp_path, server, "12", "--resolve", "a log").stdout == (
            "incident 12 has ended: a log filled it\n"
        )
        said = json.loads(why(tmp_path, server, "12", "--resolve", "a log", "--json").stdout)
    assert posted(server) == [("12/resolve", {"cause": "a log"})] * 2
    assert said["number"] == 12


def test_what_the_app_refuses_is_an_error_in_its_words(tmp_path: Path) -> None:
    with app(status=409) as server:
        done = why(tmp_path, server, "12", "--resolve", "a log")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no verdict on this incident yet [conflict]" in done.stderr


@each_row(
    "words, said",
    [
        (["RedisDown", "--resolve", "x"], "need the number of an incident"),
        (["--resolve", "x"], "need the number of an incident"),
        (["12", "--resolve", " "], "--resolve needs the cause"),
        (["12", "--strike", "1"], "--strike needs --reason"),
        (["12", "--reason", "x"], "--reason needs --strike"),
        (["12", "--check", "load"], "--check needs --output"),
        (
            ["12", "--strike", "1", "--reason", "x", "--resolve", "y"],
            "one of --output, --strike and --resolve",
        ),
        (["12", "--output", "gone"], "--output gone: No such file"),
        (["12", "--output", "."], "--output .: Is a directory"),
        (["12", "--output", "/dev/zero"], "more than 16000 characters"),
        (["12", "--output", "/dev/null"], "there is nothing in it"),
    ],
)
def test_what_does_not_fit_together_is_said_and_nothing_is_sent(
    tmp_path: Path, words: list[str], said: str
) -> None:
    with app() as server:
        done = why(tmp_path, server, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert server.asked == []

"""Commands of a stack on three hosts, from a folder that never ran one, where no host can be reached."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import in_process
import pytest
import yaml
from rows import each_row

from techsapo_ops.cli import output
from techsapo_ops.cli.hosts import hosts
from techsapo_ops.cli.output import Output
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.leave import Leaving

DOCKER = """#!/bin/sh
# As docker's client says it of a socket where nobody listens; b's daemon answers where `answers` is there,
# and all of them, which are in no Swarm, where `outside` is.
here=${0%/*}; of=$2; shift 2
if [ -e "$here/answers" ] && [ "$of" = "unix:///nobody/b.sock" ]; then
  case "$1 $2" in
    "ps "*|"image inspect"|"volume ls") exit 0 ;;
    "node ls") echo "Error response from daemon: rpc error: The swarm does not have a leader." >&2; exit 1 ;;
  esac
fi
if [ -e "$here/outside" ]; then
  case "$1" in
    node) echo "Error response from daemon: This node is not a swarm manager." >&2; exit 1 ;;
    *) exit 0 ;;
  esac
fi
echo "Cannot connect to the Docker daemon at $of. Is the docker daemon running?" >&2
exit 1
"""
HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"unix:///nobody/{n}.sock"} for i, n in enumerate("abc", 1)}
SPEC = {"project": "ux", "engine": "swarm", "hosts": HOSTS, "mysql": {}, "floating_address": "10.0.0.100/24"}
NOT_KNOWN = "error: the state of this stack is unknown: a, b, c can't be reached\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    (tmp_path / "techsapo.yaml").write_text(yaml.safe_dump(SPEC))
    return tmp_path


def techsapo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(folder, *words, env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin"})


@each_row(
    "words",
    [
        "ps", "logs", "monit --once", "down", "exec redis ping", "restart", "stop app", "changes drift",
        "plan --json", "up --dry-run", "changes diff", "hosts switchover redis", "drill failover-host b",
    ],
)  # fmt: skip
def test_where_no_host_answers_nothing_is_said_to_be_so(folder: Path, words: str) -> None:
    done = techsapo(folder, *words.split())
    assert done.returncode == 1
    assert NOT_KNOWN in done.stderr
    assert "techsapo hosts check" in done.stderr
    assert "techsapo up" not in done.stdout + done.stderr
    assert done.stdout == ""
    assert "a: Docker is not running; b: " in done.stderr, "once why, and then what follows from it"


@each_row("words", ["ps", "monit --once"])
def test_a_program_reads_which_hosts_do_not_answer(folder: Path, words: str) -> None:
    done = techsapo(folder, *words.split(), "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["services"] == []
    assert [(each["host"], bool(each["why"])) for each in told["unreachable"]] == [(n, True) for n in "abc"]


@each_row("words", ["ps", "logs", "down", "changes drift", "restart"])
def test_what_the_others_may_have_is_not_known_where_one_answers_without_a_quorum(
    folder: Path, words: str
) -> None:
    (folder / "bin" / "answers").touch()
    done = techsapo(folder, *words.split())
    assert done.returncode == 1
    assert "a" in done.stderr
    assert "techsapo up" not in done.stdout + done.stderr
    assert "nothing to stop" not in done.stdout + done.stderr


@each_row(
    "words, said",
    [
        ("ps", "no service of this stack is running\nnext: techsapo up\n"),
        ("logs", "there are no logs yet\n"),
        ("down", "nothing to stop\n"),
    ],
)
def test_hosts_that_answer_and_never_had_a_stack_are_told_as_ever(
    folder: Path, words: str, said: str
) -> None:
    (folder / "bin" / "outside").touch()
    done = techsapo(folder, *words.split())
    assert done.returncode == 0
    assert done.stderr.endswith(said)


def test_health_has_a_line_for_each_host_and_tells_a_program_of_each_service(folder: Path) -> None:
    done = techsapo(folder, "health", "--timeout", "0.5")
    lines = [line for line in done.stdout.splitlines() if "can't be reached" in line]
    assert [line.split()[:2] for line in lines] == [["a", "down"], ["b", "down"], ["c", "down"]]
    assert all("services not checked" in line for line in lines)
    assert "redis-a" not in done.stdout
    assert "next: techsapo hosts check" in done.stderr
    assert done.returncode == 2
    told = json.loads(techsapo(folder, "health", "--json", "--timeout", "0.5").stdout)
    assert [each["host"] for each in told["unreachable"]] == ["a", "b", "c"]
    (redis,) = (part for part in told["probes"] if part["name"] == "redis-a")
    assert (redis["status"], redis["hint"]) == ("down", "`techsapo hosts check a`")


def test_status_names_the_hosts_and_claims_nothing_of_them(folder: Path) -> None:
    done = techsapo(folder, "status", "--timeout", "0.5")
    said = {line.partition("  ")[0]: line for line in done.stdout.splitlines()}
    assert all(f"  {host}: can't be reached" in done.stdout for host in "abc")
    for part in ("services", "address", "drift"):
        assert said[part].endswith("unknown: a, b, c can't be reached")
    assert "next: techsapo hosts check" in done.stderr
    told = json.loads(techsapo(folder, "status", "--json", "--timeout", "0.5").stdout)
    assert [each["host"] for each in told["unreachable"]] == ["a", "b", "c"]


def test_a_host_of_the_spec_is_not_taken_out_and_nobody_is_asked(folder: Path) -> None:
    done = techsapo(folder, "hosts", "remove", "b")
    assert done.returncode == 2
    assert "host b is one of the 3 hosts in the spec" in done.stderr
    assert "--yes" not in done.stderr


def test_a_stack_of_one_host_has_nothing_to_switch_over_which_is_wrong_usage(folder: Path) -> None:
    (folder / "techsapo.yaml").write_text("project: ux\nredis: {}\n")
    done = techsapo(folder, "hosts", "switchover", "redis")
    assert done.returncode == 2
    assert "this stack has only one Redis" in done.stderr


@each_row("asked, hint", [(True, ""), (False, "can't ask for confirmation without a terminal: pass --yes")])
def test_whoever_says_no_is_not_told_how_to_say_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool, hint: str
) -> None:
    opened: Any = SimpleNamespace(open=lambda: None)
    monkeypatch.setattr(hosts, "open_stack", lambda _: SimpleNamespace(engine=None))
    monkeypatch.setattr(hosts, "swarm_of", lambda _: None)
    monkeypatch.setattr(hosts, "leaving", lambda *_, **__: Leaving("c", (), True, True, 2))
    monkeypatch.setattr(output, "confirm", lambda *_, **__: False)
    monkeypatch.setattr(output, "interactive", lambda: asked)
    with pytest.raises(OpsError, match="nothing was changed") as refused:
        hosts.remove("c", place=opened, out=Output())
    assert refused.value.hint == hint

"""The script of a member of the MariaDB cluster, with stand-ins for the servers: what is a position."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from machines_spec import machines_files
from rows import each_row
from servers import wait_for

SCRIPT = machines_files()["mysql/member.sh"]
UUID = "0b1f7f63-ea70-11f1-8c18-ab71f0cf95ae"
BEGUN = {"mysql/x": ""}
NONE = "00000000-0000-0000-0000-000000000000"
RECOVERED = f"2026-11-27 14:32:39 0 [Note] WSREP: Recovered position: {UUID}:42"


class Member:
    """A member on an empty machine, whose others nobody reaches; its mariadbd says `recovered` alone."""

    def __init__(self, folder: Path, recovered: str = "") -> None:
        self.data, self.run, binaries = folder / "data", folder / "run", folder / "bin"
        for each in (self.data, self.run, binaries):
            each.mkdir()
        (folder / "key").write_text("a secret of the members")
        for name, text in {
            "mariadbd": f"echo '{recovered}' >&2",
            "socat": "exec sleep 60",
            "getent": "exit 2",
            "mariadb": "exit 1",
        }.items():
            (binaries / name).write_text(f"#!/bin/sh\n{text}\n")
            (binaries / name).chmod(0o755)
        moved = {
            "/var/lib/mysql": self.data, "/run/mysqld": self.run,
            "/run/secrets/mysql-cluster.pem": folder / "key", "complaint=60": "complaint=1",
        }  # fmt: skip
        text = SCRIPT
        for old, new in moved.items():
            assert old in text
            text = text.replace(old, str(new))
        self.script = folder / "member.sh"
        self.script.write_text(text)
        self.environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}

    def says(self, *words: str, told: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", self.script, *words],
            check=False, input=told, capture_output=True, text=True, env=self.environment, timeout=60,
        )  # fmt: skip

    def starts(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", self.script, "mysql-a"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment,
        )  # fmt: skip

    @property
    def state(self) -> str:
        file = self.run / "member.state"
        return file.read_text().strip() if file.exists() else ""


def saved(uuid: str, seqno: int) -> dict[str, str]:
    """A database of a cluster, as Galera says of it what it has."""
    state = f"version: 2.1\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: 0\n"
    return {**BEGUN, "grastate.dat": f"# GALERA saved state\n{state}"}


POSITIONS: dict[str, tuple[dict[str, str], str, str]] = {
    "a new disk": ({}, "", "new -"),
    "a first start cut short": ({**BEGUN, "techsapo-unfinished": ""}, "", "new -"),
    "of one host": (BEGUN, "", "old -"),
    "no system tables": ({"ibdata1": ""}, "", "torn -"),
    "being copied": (saved(NONE, -1), RECOVERED, "torn -"),
    "half a copy": ({**saved(UUID, 42), "sst_in_progress": ""}, "", "torn -"),
    "an orderly end": (saved(UUID, 7), "", f"at {UUID}:7"),
    "killed": (saved(UUID, -1), RECOVERED, f"at {UUID}:42"),
    "another history": (saved(UUID, -1), RECOVERED.replace("0b1f", "ffff"), "lost -"),
    "no recovery": (saved(UUID, -1), "disk full", "lost -"),
    "a broken file": ({**BEGUN, "grastate.dat": "nonsense"}, RECOVERED, "torn -"),
}
"""By what is the matter: the files of its folder, what MariaDB recovers, and what it says of itself."""


def test_a_position_is_what_mariadb_has_of_a_whole_folder(tmp_path: Path) -> None:
    """All start at once, as each takes a moment to look at its folder."""
    with ExitStack() as started:
        members = {}
        for number, (name, (files, recovered, _)) in enumerate(POSITIONS.items()):
            (folder := tmp_path / str(number)).mkdir()
            members[name] = member = Member(folder, recovered)
            for path, text in files.items():
                (file := member.data / path).parent.mkdir(exist_ok=True)
                file.write_text(text)
            process = started.enter_context(member.starts())
            started.callback(process.terminate)
        for name, member in members.items():
            wait_for(lambda m=member: m.state not in {"", "busy -"}, what=f"a position: {name}")
        assert {name: member.state for name, member in members.items()} == {
            name: state for name, (_, _, state) in POSITIONS.items()
        }
        assert {member.says("ready").returncode for member in members.values()} == {1}, "it waits for others"
    assert not [name for name, m in members.items() if (m.data / "techsapo-unfinished").exists()]


def test_one_that_recovers_no_position_ends_to_try_it_once_more(tmp_path: Path) -> None:
    member = Member(tmp_path, "disk full")
    (member.data / "mysql").mkdir()
    (member.data / "grastate.dat").write_text(saved(UUID, -1)["grastate.dat"])
    process = member.starts()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no position of mysql-a mysql-b mysql-c" in out
    assert "tries once more" in out


def test_what_is_told_is_sealed_with_the_secret_and_the_number_of_who_asks(tmp_path: Path) -> None:
    member = Member(tmp_path)
    (member.run / "member.state").write_text(f"at {UUID}:42\n")
    number = "0123456789abcdef" * 2
    told = f"{number} {sealed(number, 'mysql-a', 'asks')}\n"
    words, _, seal = member.says("tell", "mysql-a", told=told).stdout.strip().rpartition(" ")
    assert words == f"at {UUID}:42 -"
    assert seal == sealed(number, "mysql-a", words)
    assert re.fullmatch("[0-9a-f]{64}", seal)


def sealed(number: str, name: str, words: str) -> str:
    token = hashlib.sha256(b"a secret of the members").hexdigest()
    return hashlib.sha256("".join(f"{w}\n" for w in (token, number, name, words, token)).encode()).hexdigest()


ZEROES = "0" * 32


@each_row(
    "question",
    [
        "", ZEROES, "x" * 32, "0" * 31, "0" * 33, "$(id)", "0123456789abcdef'; id; '",
        f"{ZEROES} {'0' * 64}",
        pytest.param(f"{ZEROES} {sealed(ZEROES, 'mysql-b', 'asks')}", id="one for another member"),
        pytest.param(f"{ZEROES} {sealed(ZEROES, 'mysql-a', 'new - -')}", id="an answer in its place"),
    ],
)  # fmt: skip
def test_who_asks_and_is_no_member_is_told_nothing_and_costs_nothing(tmp_path: Path, question: str) -> None:
    member = Member(tmp_path)
    (member.run / "member.state").write_text("runs\n")
    asked = tmp_path / "asked"
    (tmp_path / "bin/mariadb").write_text(f"#!/bin/sh\ntouch {asked}\n")
    answer = member.says("tell", "mysql-a", told=f"{question}\n")
    assert answer.stdout == ""
    assert answer.returncode == 1
    assert not asked.exists()


def test_a_member_that_is_none_is_not_started(tmp_path: Path) -> None:
    answer = Member(tmp_path).says("mysql-x")
    assert answer.returncode == 2
    assert "The members are: mysql-a mysql-b mysql-c" in answer.stderr


def test_one_that_cannot_keep_what_it_tells_ends_at_once(tmp_path: Path) -> None:
    member = Member(tmp_path)
    (member.run / "member.state.new").mkdir()  # as good as a folder of somebody else's, for root too
    answer = member.says("mysql-a")
    assert answer.returncode == 1
    assert "cannot write into" in answer.stderr

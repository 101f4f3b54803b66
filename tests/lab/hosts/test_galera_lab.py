"""The audit database on three members: what is acknowledged stays, whatever is killed or cut."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from galera_apps import App, app, rows
from galera_lab import DATABASE, PASSWORD, Cluster, Member, cluster, three_machines
from networks import enter
from servers import wait_for

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.mysql.accounts import Passwords, migrations_user
from techsapo_ops.services.mysql.backup import BACKUP
from techsapo_ops.services.mysql.contents import differences
from techsapo_ops.services.mysql.dump import MysqlSource, load
from techsapo_ops.services.mysql.member import TELL_PORT, cluster_accounts
from techsapo_ops.services.mysql.runtime import settle
from techsapo_ops.services.mysql.session import session
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.backup import Door
from techsapo_ops.stores.audit.migrate import HEAD

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="networks of its own need root"),
]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members that are in one cluster."""
    folder = tmp_path_factory.mktemp("galera")
    with cluster(three_machines(folder), Templates()) as running:
        running.seed()
        running.start()
        running.wait()
        yield running


def nothing_is_lost(running: Cluster, *apps: App) -> None:
    """Every acknowledged row is on each member, once, and with its call."""
    running.wait()
    acked = [id_ for each in apps for id_ in each.acked()]
    assert len(acked) >= 10
    for member in running.members:
        there = rows(member)
        assert len(there) == len(set(there))
        assert set(acked) <= set(there), f"lost on {member.name}"
        calls = "SELECT COUNT(*) FROM techsapo_audit.audit_calls"
        assert member.sql(calls) == [[str(len(there))]]


def test_rows_and_labels_go_on_by_another_member_when_one_is_killed_and_none_is_lost_or_twice(
    members: Cluster, tmp_path: Path
) -> None:
    script, killed = "galera_labeller.py", members.members[0]
    with (
        app(tmp_path, members, 0) as writing,
        app(tmp_path, members, 0, script) as first,
        app(tmp_path, members, 1, script) as second,
        app(tmp_path, members, 2, script) as third,
    ):
        killed.kill()
        for each in (writing, first, second, third):
            each.more(20)
        killed.start()
        members.wait()
        for each in (writing, first, second, third):
            each.end()
    nothing_is_lost(members, writing)
    assert "go to another member" in (writing.folder / "log").read_text()
    acked = {id_ for each in (first, second, third) for id_ in each.acked()}
    for member in members.members:
        who = "SET wsrep_sync_wait = 1; SELECT who FROM techsapo_audit.answer_labels"
        there = [line[0] for line in member.sql(who)]
        assert len(there) == len(set(there)), "each says one thing once"
        assert set(there) == acked, member.name


@pytest.mark.nightly
def test_rows_of_an_app_that_is_killed_with_its_member_are_there_when_it_is_back(
    members: Cluster, tmp_path: Path
) -> None:
    own = members.members[1]
    with app(tmp_path, members, 1) as writing:
        own.kill()
        writing.kill()
        assert (writing.folder / "audit-spool.jsonl").stat().st_size
        writing.start()
        own.start()
        writing.more()
        writing.end()
    nothing_is_lost(members, writing)


def test_what_both_sides_of_a_cut_were_given_is_on_all_members_when_it_is_healed(
    members: Cluster, tmp_path: Path
) -> None:
    alone = members.members[2]
    with app(tmp_path, members, 2) as cut_off, app(tmp_path, members, 0) as other:
        alone.cut()
        wait_for(
            lambda: alone.status("wsrep_cluster_status") == "non-Primary", timeout=240, what="a minority"
        )
        before = len(cut_off.acked())
        other.more(40)
        wait_for(lambda: len(cut_off.acked()) > before + 20, timeout=240, what="rows kept on disk")
        taken = cut_off.written()
        alone.cut(off=False)
        members.wait()
        cut_off.end()
        other.end()
        assert cut_off.written() > taken
    nothing_is_lost(members, cut_off, other)


def test_when_all_are_killed_the_highest_position_forms_the_cluster(members: Cluster, tmp_path: Path) -> None:
    first, second, third = members.members
    with app(tmp_path, members, 1) as writing:
        first.kill()
        writing.more(20)
        second.kill()
        third.kill()
        members.start()
        members.wait()
        writing.more()
        writing.end()
    nothing_is_lost(members, writing)
    told = [
        member.log().rpartition("s the cluster, from: ")[0].rpartition(": ")[2] for member in members.members
    ]
    assert told[0] == "join", "it was away for the last rows"
    assert sorted(told[1:]) == ["form", "join"]


@contextmanager
def liar(member: Member, words: list[str]) -> Iterator[list[bytes]]:
    """Something in the place of `member`, which is down, that claims `words` in turn; keeps what it hears."""
    heard: list[bytes] = []
    ready = threading.Event()
    server: list[socket.socket] = []

    def listen() -> None:
        enter(member.holder.pid)
        with socket.create_server((member.name, TELL_PORT)) as listening:
            server.append(listening)
            ready.set()
            turn = 0
            while True:
                try:
                    link, _ = listening.accept()
                except OSError:
                    return
                with link:
                    heard.append(link.recv(200))
                    link.sendall(words[turn % len(words)].encode() + b"\n")
                    turn += 1

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield heard
    finally:
        server[0].shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_one_that_is_not_heard_is_waited_for_until_a_person_says_that_it_is_gone(
    members: Cluster, tmp_path: Path
) -> None:
    first, second, third = members.members
    with app(tmp_path, members, 0) as writing:
        writing.end()
    uuid = first.status("wsrep_cluster_state_uuid")
    for member in members.members:
        member.stop()
    # A stranger in the third one's place: it knows all but the members' secret.
    lies = [
        f"at {uuid}:999999999 - {'0' * 64}",
        "primary - - ",
        "new - -",
        "x" * 4000,
        f"gone - - {'a' * 64}",
    ]
    with liar(third, lies) as heard:
        first.start()
        second.start()
        wait_for(
            lambda: "no position of" in first.log()[-4000:], timeout=240, what="it is told who is waited for"
        )
        wait_for(lambda: len(heard) > 2 * len(lies), timeout=240, what="each lie was told")
        assert not first.answers
        assert not second.answers
    assert f"gone {third.name}" in first.log()[-4000:]
    waits = first.script_says("ready")
    assert waits.returncode == 1
    assert waits.stdout.startswith("waiting: no position of")
    refused = word(first, second.name)
    assert refused.returncode == 1
    assert "answers" in refused.stderr
    assert word(first, "10.98.61.99").returncode == 2
    assert word(first, first.name).returncode == 2
    given = word(first, third.name)
    assert given.returncode == 0, given.stderr
    members.wait(first, second)
    assert first.script_says("ready").returncode == 0
    wait_for(lambda: not (first.data / "techsapo-gone").exists(), timeout=240, what="the word holds once")
    for member in (first, second):
        needless = word(member, third.name)
        assert (needless.returncode, needless.stderr) == (3, "the cluster runs: this command is not needed\n")
        assert not (member.data / "techsapo-gone").exists()
    # Killed while it took over another one's data: half a copy is no position.
    (half := third.data / "sst_in_progress").touch()
    os.chown(half, third.owner.pw_uid, third.owner.pw_gid)
    third.start()
    nothing_is_lost(members, writing)
    assert "joins the cluster, from: torn" in third.log()
    assert "mariabackup SST completed on joiner" in third.log()


@pytest.mark.nightly
def test_of_two_that_are_gone_a_person_may_say_so_one_after_the_other(
    members: Cluster, tmp_path: Path
) -> None:
    first, second, third = members.members
    with app(tmp_path, members, 0) as writing:
        writing.end()
    second.kill()
    third.kill()
    early = subprocess.CompletedProcess[str]([], 0)

    def refused() -> bool:
        nonlocal early
        early = word(first, second.name)
        return early.returncode == 1

    wait_for(refused, timeout=60, what="the last one tells no position while its server runs")
    assert "it now stops its server to find out its position. Run the command again" in early.stderr
    wait_for(lambda: word(first, second.name).returncode == 0, timeout=120, what="its position is known")
    assert not first.answers, "the other one is waited for still"
    both = word(first, third.name)
    assert both.returncode == 0, both.stderr
    assert f"gone for good: {third.name},{second.name}." in both.stdout
    members.wait(first)
    second.start()
    third.start()
    nothing_is_lost(members, writing)


def word(member: Member, gone: str) -> subprocess.CompletedProcess[str]:
    return member.script_says("gone", gone)


def test_a_dump_of_one_member_is_exact_while_rows_come_and_loads_into_all_by_another(
    members: Cluster, tmp_path: Path
) -> None:
    first, second, third = members.members
    with app(tmp_path, members, 2) as writing:
        (place := tmp_path / "dump").mkdir()
        part = MysqlSource(door(first), DATABASE).take(place, "now", lambda *_: None)
        writing.more()
        writing.end()
    nothing_is_lost(members, writing)
    assert part.facts["exact"]
    assert part.facts["binlog"]["member"] == first.name
    assert BACKUP.fits(part.facts)
    dumped = part.facts["tables"]["audit_requests"]["rows"]
    assert 10 <= dumped <= len(rows(first))
    load(door(second), DATABASE, PackedReader(place / part.file), lambda *_: None)
    assert [len(rows(member)) for member in members.members] == [dumped] * 3
    with session(door(third)) as asking:
        assert differences(part.facts, asking, DATABASE, checksums=True) == []


def door(member: Member) -> Door:
    """As a root who needs no password where the member is."""
    options = ("--no-defaults", f"--socket={member.folder}/run/mysqld.sock", "--user=root")
    return Door(SubprocessRunner(), lambda command: command, options)


def test_accounts_are_on_all_members_though_no_binlog_has_their_passwords(members: Cluster) -> None:
    first, _, third = members.members
    passwords = Passwords(Secret(PASSWORD), Secret("s3cret"))
    first.sql(settle(Mysql(), passwords, more=cluster_accounts()).stdin.decode())  # type: ignore[union-attr]
    members.wait()
    found = third.sql("SET wsrep_sync_wait = 1; SELECT User FROM mysql.user")
    assert [migrations_user(Mysql())] in found
    third.sql("DROP USER techsapo_migrations@'%'")


def test_two_that_migrate_on_two_members_at_once_leave_one_schema(members: Cluster, tmp_path: Path) -> None:
    first, second, _ = members.members
    first.sql("DROP DATABASE techsapo_audit; CREATE DATABASE techsapo_audit CHARACTER SET utf8mb4")
    with app(tmp_path, members, 0) as one, app(tmp_path, members, 1) as other:
        one.end()
        other.end()
    nothing_is_lost(members, one, other)
    assert second.sql("SELECT version_num FROM techsapo_audit.alembic_version") == [[HEAD]]

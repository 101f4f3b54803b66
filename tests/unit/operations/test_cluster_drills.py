"""Drills of several machines: when they are refused, and that what they take away is always put back."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.cli import newest_state
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.engines.swarm.machines_note import MachinesNote
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup import telling
from techsapo_ops.operations.drills.cluster import course as courses
from techsapo_ops.operations.drills.cluster import faults, plan, under_way
from techsapo_ops.operations.drills.cluster.course import course, finish
from techsapo_ops.operations.drills.cluster.plan import Taking, planned
from techsapo_ops.operations.drills.cluster.under_way import UnderWay, note_under_way
from techsapo_ops.operations.drills.cluster.whole import missing
from techsapo_ops.operations.drills.load import Load
from techsapo_ops.operations.drills.run import perform
from techsapo_ops.operations.drills.target import front
from techsapo_ops.operations.drills.victim import chosen
from techsapo_ops.services.redis.drill import _SCRIPT, Plain, Taken, parse
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack
from tests.fakes.open_stacks import open_stack
from tests.fakes.swarm_stack import StackFake

MASTER = {
    "SENTINEL MASTER": "name\ntechsapo\nip\n10.0.0.2\nconfig-epoch\n7",
    "SENTINEL REPLICAS": "\n".join(
        f"name\n{at}\nip\n{at}\nflags\nslave\nmaster-link-status\nok" for at in ("10.0.0.1", "10.0.0.3")
    ),
}


def says(service: str, words: tuple[str, ...], _: Any) -> str:
    """The master is on b, the front's address on c."""
    if words[0] == "cat":
        return "MASTER" if service == "keepalived-c" else "BACKUP"
    text = " ".join(words)
    return next((said for asked, said in MASTER.items() if asked in text), "")


@pytest.fixture
def hosts(tmp_path: Path) -> StackFake:
    return StackFake(where(tmp_path), says)


def where(folder: Path, **sections: Any) -> Any:
    machines = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
    sections = {"mysql": {}, "floating_address": "10.0.0.100/24", **sections}
    return topology(spec(engine="swarm", hosts=machines, **sections), folder, "swarm")


@pytest.fixture
def stack(tmp_path: Path, hosts: StackFake) -> Stack:
    return on(hosts, tmp_path)


def on(hosts: StackFake, folder: Path, **sections: Any) -> Stack:
    found = where(folder, **sections)
    fleet = Fleet(hosts, "docker", {m.name: m.docker for m in found.machines})
    found.layout.state.mkdir(parents=True, exist_ok=True)
    return replace(open_stack(found, SwarmEngine(found, fleet), hosts), pause=lambda _: None)


def engine(stack: Stack) -> SwarmEngine:
    return cast(SwarmEngine, stack.engine)


def test_nothing_is_missing_where_all_answers(stack: Stack) -> None:
    assert missing(stack, engine(stack), "c") == ()


def test_a_host_that_does_not_answer_or_is_drained_is_missing(stack: Stack, hosts: StackFake) -> None:
    hosts.hosts["b"].node["Spec"]["Availability"] = "drain"
    assert missing(stack, engine(stack), "c") == ("b is drained already",)
    hosts.hosts["b"].silent = "timeout"
    assert [reason.partition(":")[0] for reason in missing(stack, engine(stack))] == ["b can't be reached"]


def test_a_quorum_that_would_be_lost_is_said(stack: Stack, hosts: StackFake) -> None:
    hosts.hosts["a"].node["ManagerStatus"]["Reachability"] = "unreachable"
    hosts.hosts["a"].node["ManagerStatus"].pop("Leader")
    assert "1 of 3 managers would be left" in missing(stack, engine(stack), "c")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mysql-a", "mysql-a is not ready"),
        ("app-b", "app-b is not ready"),
    ],
)
def test_what_is_not_ready_is_named(stack: Stack, hosts: StackFake, name: str, said: str) -> None:
    hosts.states[name] = "exited"
    assert any(said in reason for reason in missing(stack, engine(stack)))


def test_redis_that_is_not_in_step_is_said(stack: Stack, hosts: StackFake) -> None:
    def behind(service: str, words: tuple[str, ...], command: Any) -> str:
        return says(service, words, command).replace("status\nok", "status\nerr")

    hosts.answer = behind
    assert [r.partition(" (")[0] for r in missing(stack, engine(stack))] == [
        "not all replicas of Redis are in sync"
    ]


def test_what_is_taken_is_where_it_costs_most_and_no_unknown_host(stack: Stack) -> None:
    assert planned(stack, "failover-redis", None, 0) == Taking("failover-redis", "b", "redis-b")
    assert planned(stack, "failover-mysql", None, 0) == Taking("failover-mysql", "c", "mysql-c")
    assert planned(stack, "failover-host", None, 9) == Taking("failover-host", "c", seconds=9)
    assert planned(stack, "failover-host", "a", 9).host == "a"
    assert planned(stack, "partition", None, 9) == Taking("partition", "b", seconds=9)
    with pytest.raises(OpsError, match="host"):
        planned(stack, "failover-host", "d", 9)


def test_a_drill_is_refused_before_anybody_is_asked_where_a_host_does_not_answer(
    stack: Stack, hosts: StackFake
) -> None:
    hosts.hosts["b"].silent = "timeout"
    with pytest.raises(OpsError, match="the drill was not begun: b can't be reached") as refused:
        planned(stack, "failover-host", "a", 9)
    assert "hosts check" in refused.value.hint


def test_a_drill_of_a_stack_that_does_not_run_is_refused_before_anybody_is_asked(
    stack: Stack, hosts: StackFake
) -> None:
    hosts.states |= {service.name: "exited" for service in stack.topology.services}
    with pytest.raises(OpsError, match="the stack is not running"):
        planned(stack, "failover-host", "a", 9)


def test_a_partition_is_refused_where_it_could_not_be_ended_or_made(
    stack: Stack, hosts: StackFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.states["keepalived-a"] = "exited"
    with pytest.raises(OpsError, match="keepalived does not run there"):
        planned(stack, "partition", "a", 9)
    monkeypatch.setattr(plan.socket, "gethostname", lambda: "b")
    with pytest.raises(OpsError, match="b is this very host"):
        planned(stack, "partition", "b", 9)


def test_traffic_goes_to_the_address_that_hosts_share_or_to_one_that_stays(tmp_path: Path) -> None:
    assert front(where(tmp_path, nginx={"listen": 8080}).spec) == "http://10.0.0.100:8080"
    alone = where(tmp_path, nginx={"listen": 8080}, floating_address=None).spec
    assert (front(alone), front(alone, "b")) == ("http://10.0.0.1:8080", "http://10.0.0.2:8080")


def test_a_lost_host_gives_its_address_up_and_swarm_starts_nothing_there(
    stack: Stack, hosts: StackFake
) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []
    hosts.answer = lambda service, words, _: asked.append((service, words)) or ""
    faults.lose_host(engine(stack), "c")
    ((service, words),) = asked
    assert (service, words[-1]) == ("keepalived-c", "10.0.0.100/24")
    killed, drained = hosts.done
    assert set(killed[2:]) == {s.name for s in stack.topology.on("c")}
    assert drained == ("node", "update", "--availability", "drain", "node-of-c-0")
    faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))
    assert hosts.done[-1] == ("node", "update", "--availability", "active", "node-of-c-0")
    faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))
    assert len(hosts.done) == 3


def test_a_keepalived_that_a_killed_drill_left_frozen_is_ended(stack: Stack, hosts: StackFake) -> None:
    """Between the address and the kill: it would say that it has an address that it has not."""
    frozen = ["keepalived-c"]

    def says(service: str, words: tuple[str, ...], _: Any) -> str:
        assert "vrrp.pid" in words[-1]
        return "frozen\n" if service in frozen else ""

    hosts.answer = says
    faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))
    assert hosts.done == [("kill", "c", "keepalived-c")]
    hosts.states["keepalived-c"], frozen[:] = "running", []
    faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))
    assert len(hosts.done) == 1
    hosts.hosts["c"].silent = "timeout"
    with pytest.raises(OpsError):
        faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))


def test_what_is_frozen_is_told_by_what_the_kernel_says(tmp_path: Path) -> None:
    look = ["sh", "-c", faults._FROZEN.format(run=tmp_path)]
    with subprocess.Popen(["sleep", "600"]) as worker:
        try:
            (tmp_path / "vrrp.pid").write_text(f"{worker.pid}\n")
            assert subprocess.run(look, capture_output=True, check=False).stdout == b""
            stopped(worker)
            assert subprocess.run(look, capture_output=True, check=False).stdout == b"frozen\n"
        finally:
            worker.kill()


def stopped(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGSTOP)
    assert os.waitid(os.P_PID, worker.pid, os.WSTOPPED) is not None


def test_nothing_is_killed_of_a_host_that_is_in_no_swarm(stack: Stack, hosts: StackFake) -> None:
    hosts.hosts["c"].node["Description"]["Hostname"] = "other"
    with pytest.raises(OpsError, match="no node of the Swarm"):
        faults.lose_host(engine(stack), "c")
    assert hosts.done == []


def test_a_cut_is_made_by_the_host_itself_and_undone_twice_over(stack: Stack, hosts: StackFake) -> None:
    faults.cut_off(engine(stack), "b", 9)
    assert hosts.done[-1] == ("run", "b", "10.0.0.2", "9", "2", "10.0.0.1", "10.0.0.3")
    faults.put_back(engine(stack), UnderWay("partition", "b", "", "now"))
    assert [done[0] for done in hosts.done[2:]] == ["stop", "run", "rm"]
    assert hosts.done[-2][3] == "0"
    hosts.hosts["b"].silent = "timeout"
    with pytest.raises(OpsError, match="b does not answer yet"):
        faults.put_back(engine(stack), UnderWay("partition", "b", "", "now"))


IP = """#!/bin/sh
echo "$@" >>"$LOG"
case "$*" in
  *"route get"*) echo "10.0.0.1 dev eth7 src 10.0.0.2 uid 0" ;;
  "route add 10.0.0.3 "*) [ -z "$REFUSE" ] ;;
esac
"""


def cutting(folder: Path, *words: str, **variables: str) -> tuple[subprocess.Popen[bytes], Path]:
    program, log = folder / "ip", folder / "log"
    program.write_text(IP)
    program.chmod(0o755)
    log.touch()
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "LOG": str(log), "REFUSE": "", **variables}
    argv = ("sh", "-c", faults._CUT, "drill", "10.0.0.2", *words, "10.0.0.1", "10.0.0.3")
    return subprocess.Popen(argv, env=path, stdout=subprocess.PIPE), log


def left(log: Path) -> set[str]:
    """What was added and not removed."""
    lines = [line.split() for line in log.read_text().splitlines()]
    there: set[str] = set()
    for words in lines:
        if words[1] in {"add", "replace"}:
            there.add(words[2])
        if words[1] == "del":
            there.discard(words[2])
    return there


def test_a_cut_ends_by_itself(tmp_path: Path) -> None:
    process, log = cutting(tmp_path, "1", "0")
    said = process.communicate(timeout=60)[0].decode().split()
    assert (said[0], said[2]) == ("cut", "back")
    assert "route add 10.0.0.3 via 192.0.2.1 dev eth7 onlink src 10.0.0.2" in log.read_text()
    assert left(log) == set()


def test_a_cut_ends_at_a_signal_and_where_a_part_is_refused(tmp_path: Path) -> None:
    process, log = cutting(tmp_path, "600", "0")
    until = time.monotonic() + 60
    while "route add 10.0.0.3" not in log.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 0
    assert left(log) == set()
    process, log = cutting(tmp_path, "600", "0", REFUSE="yes")
    assert process.wait(60) == 1
    assert left(log) == set()


def test_a_second_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    process, log = cutting(tmp_path, "0", "0")
    assert process.wait(60) == 0
    assert [line.split()[:2] for line in log.read_text().splitlines()[1:]] == [
        ["route", "del"], ["route", "del"], ["neigh", "del"],
    ]  # fmt: skip


REDIS_CLI = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do [ "$1" = --tls ] || shift; shift; done
case $1 in
  SENTINEL) echo new; echo 6379 ;;
  SET) n=$(($(cat "$LOG") + 1)); echo $n >"$LOG"; [ "$n" = 3 ] || echo OK ;;
esac
"""


@each_row("follow, by", [("yes", "new"), ("no", "old")])
def test_plain_writes_go_to_the_next_master_unless_they_are_of_one_alone(
    tmp_path: Path, follow: str, by: str
) -> None:
    program, log = tmp_path / "redis-cli", tmp_path / "log"
    program.write_text(REDIS_CLI)
    program.chmod(0o755)
    log.write_text("0")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
    words = ("old", "6379", "near", "26379", "shop", "p:", "2", follow, "redis-cli --tls")
    said = subprocess.run(
        ("sh", "-c", _SCRIPT, "drill", *words), env=variables, capture_output=True, check=True, timeout=60
    ).stdout.decode()
    taken = parse(said + "123 4").taken
    assert [each.number for each in taken[:3]] == [1, 2, 4]
    assert {each.by for each in taken[:2]} == {"old"}
    assert {each.by for each in taken[2:]} == {by}


def test_what_was_lost_and_how_long_none_was_taken_is_told() -> None:
    plain = Plain(tuple(Taken(at, n, "x") for n, at in enumerate([1.0, 1.1, 1.2, 4.0, 4.1])))
    assert plain.gap == pytest.approx(2.8)
    gone, over = plain.lost([0, 3, 4])
    assert (gone, over) == (2, pytest.approx(0.1))
    assert plain.lost(range(5)) == (0, 0.0)
    assert (plain.after(1.1), plain.after(9.0)) == (pytest.approx(3.0), 0.0)
    assert parse("").gap is None


class Stand:
    """What surrounds a course: traffic whose clock goes on by itself, and faults that are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.lacking: tuple[str, ...] = ()
        self.hindered = ""
        self.during: Callable[[], str] = lambda: ""
        self.refuses_back = False
        clock = itertools.count(0.0, 0.5)
        traffic = SimpleNamespace(now=lambda: next(clock), running=True, end=lambda: None)
        for name, made in {
            "alone": lambda _: nullcontext(),
            "missing": lambda *_: self.lacking,
            "front_host": lambda _: "c",
            "hindrance": lambda _: self.hindered,
            "prometheus_of": lambda _: None,
            "Traffic": lambda _: nullcontext(traffic),
        }.items():
            monkeypatch.setattr(courses, name, made)
        monkeypatch.setattr(courses.Guards, "during", lambda _: self.during())
        ready = iter([False, False])
        well = SimpleNamespace(ok=True)
        monkeypatch.setattr(
            SwarmEngine, "prober_inside", lambda _: lambda *_: SimpleNamespace(ok=next(ready, well.ok))
        )
        monkeypatch.setattr(SwarmEngine, "share", lambda _: self.done.append("share"))
        for name in ("lose_host", "lose_service", "cut_off"):
            monkeypatch.setattr(faults, name, lambda *_, name=name: self.done.append(name))
        monkeypatch.setattr(faults, "cut_at", lambda *_: 7.0)
        monkeypatch.setattr(faults, "put_back", self._put_back)

    def _put_back(self, *_: Any) -> None:
        if self.refuses_back:
            raise OpsError("the host does not answer")
        self.done.append("back")

    def go(self, stack: Stack, taking: Taking) -> courses.Seen:
        return course(stack, taking, Load("http://x", Secret("k")), (), lambda _: None)[0]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


HOST = Taking("failover-host", "c", seconds=20)


@pytest.mark.parametrize(
    ("taking", "fault"),
    [
        (HOST, "lose_host"),
        (Taking("failover-redis", "b", "redis-b"), "lose_service"),
        (Taking("partition", "b", seconds=9), "cut_off"),
    ],
)
def test_what_is_taken_is_noted_before_and_put_back_after(
    stand: Stand, stack: Stack, taking: Taking, fault: str
) -> None:
    seen = stand.go(stack, taking)
    assert stand.done == ["share", fault, "back"]
    assert seen.struck is not None
    assert seen.back is not None
    assert seen.back > seen.struck
    assert (seen.again is not None) == bool(taking.service)
    assert seen.facts["redis"] == "redis-b → redis-b"
    assert under_way.under_way(stack.layout) is None


def test_it_is_refused_before_anything_is_touched(stand: Stand, stack: Stack) -> None:
    stand.lacking = ("b is drained already",)
    with pytest.raises(OpsError, match="not begun: b is drained already"):
        stand.go(stack, HOST)
    stand.lacking, stand.hindered = (), "maintenance is on"
    with pytest.raises(OpsError, match="maintenance is on"):
        stand.go(stack, HOST)
    stand.hindered = ""
    note_under_way(stack.layout, UnderWay("partition", "a", "", "2026-11-27T03:00:00Z"))
    with pytest.raises(OpsError, match="partition of a, begun 2026-11-27T03:00:00Z, was cut short"):
        stand.go(stack, HOST)
    assert stand.done == []


def test_ctrl_c_and_a_guard_put_it_back_at_once(stand: Stand, stack: Stack) -> None:
    def interrupt() -> str:
        if "lose_host" in stand.done:
            raise KeyboardInterrupt
        return ""

    stand.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        stand.go(stack, HOST)
    assert stand.done[-1] == "back"
    assert under_way.under_way(stack.layout) is None
    stand.during = lambda: "the critical alert X fires" if stand.done.count("lose_host") > 1 else ""
    seen = stand.go(stack, HOST)
    assert seen.stopped == "the critical alert X fires"
    assert stand.done[-1] == "back"


def test_a_guard_that_comes_first_leaves_nothing_to_put_back(stand: Stand, stack: Stack) -> None:
    stand.during = lambda: "the critical alert X fires"
    assert stand.go(stack, HOST).struck is None
    assert stand.done == ["share"]
    assert under_way.under_way(stack.layout) is None


def test_what_could_not_be_put_back_is_told_by_the_next_command_and_finished_by_another(
    stand: Stand, stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.refuses_back = True
    with pytest.raises(OpsError, match="does not answer"):
        stand.go(stack, HOST)
    monkeypatch.setattr(newest_state, "refresh", lambda *_: None)
    note = MachinesNote("techsapo", stack.topology.machines)
    monkeypatch.setattr(newest_state, "somebody_at_work", lambda *_: True)
    newest_state.bring_newest(stack.layout, note)
    assert capsys.readouterr().err == ""  # of another host, which is at it
    monkeypatch.setattr(newest_state, "somebody_at_work", lambda *_: False)
    newest_state.bring_newest(stack.layout, note)
    assert "drill failover-host of c" in (said := capsys.readouterr().err)
    assert "`techsapo drill put-back`" in said
    stand.refuses_back = False
    found = finish(stack, lambda _: None)
    assert found is not None
    assert found.host == "c"
    assert finish(stack, lambda _: None) is None


def test_what_does_not_come_back_is_named_and_can_be_tried_again(
    stand: Stand, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courses, "BACK", 0.2)
    looks = iter([()])
    monkeypatch.setattr(courses, "missing", lambda *_: next(looks, ("mysql-c is not ready (x)",)))
    with pytest.raises(OpsError, match=r"not all is back after .*mysql-c is not ready"):
        stand.go(stack, HOST)
    assert under_way.under_way(stack.layout) is not None


def test_a_damaged_note_is_said(stack: Stack) -> None:
    (stack.layout.state / under_way.NOTE).write_text('{"drill": "other", "host": "c"}')
    with pytest.raises(OpsError, match="is damaged"):
        under_way.under_way(stack.layout)


def test_other_hosts_have_the_report_of_a_drill(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    at_work: list[bool] = []

    @contextmanager
    def locked(*_: Any) -> Iterator[int]:
        at_work.append(True)
        yield 0
        at_work.append((tmp_path / ".techsapo/drills").is_dir())  # so what is shared now has it

    monkeypatch.setattr(telling, "locked", locked)
    monkeypatch.setattr(SwarmEngine, "deliver", lambda _: told.append("metrics"))
    now = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
    _, page = perform(stack, "failover-host", {}, lambda begin: begin(1.0), warn=told.append, now=now)
    assert (at_work, told) == ([True, True], ["metrics"])
    assert page.read_text().startswith("# ")


def test_of_several_hosts_an_instance_is_killed_by_its_own_docker_and_no_process_here(
    hosts: StackFake, stack: Stack
) -> None:
    victim = chosen(stack)
    assert not victim.ended()
    victim.kill()
    host = next(s.machine.name for s in stack.topology.services if s.name == victim.name and s.machine)
    assert hosts.done == [("kill", host, victim.name)]
    assert victim.ended()
    with pytest.raises(OpsError, match="has started anew by itself"):
        victim.kill()


def test_where_nobody_can_say_when_a_host_was_cut_off_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> float:
        raise OpsError("b does not answer")

    said: list[str] = []
    monkeypatch.setattr(faults, "cut_at", away)
    assert courses._cut_at(cast("SwarmEngine", None), "b", said.append) is None
    assert said == ["when b was cut off can't be told: b does not answer"]

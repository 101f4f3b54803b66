"""A command that is killed at any step, and the next one, on the same host or on another one."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.engines.swarm import watch
from techsapo_ops.engines.swarm.deployment import Deployment
from techsapo_ops.engines.swarm.engine import NAMES_KEY, swarm_of
from techsapo_ops.engines.swarm.folders import _packed
from techsapo_ops.errors import OpsError
from tests.fakes.swarm_commands import AFTER, PROJECT, Commands

SHARES = f"note create {PROJECT}.state"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with pytest.MonkeyPatch.context() as patched:
        made = Commands(tmp_path_factory.mktemp("first"), patched)
        assert not made.up("a").failures
        shutil.copytree(made.folder / "a", made.folder / "left", symlinks=True)
        yield made


def fresh(first: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Machines with nothing on them."""
    for host in "abc":
        shutil.rmtree(first.folder / host, ignore_errors=True)
    return Commands(first.folder, monkeypatch, rendered=first.rendered)


def brought_up(first: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """A stack that was brought up from host a, where nothing is under way."""
    found = fresh(first, monkeypatch)
    shutil.copytree(first.folder / "left", first.folder / "a", symlinks=True)
    found.cluster = first.cluster.copied()
    return found


@pytest.fixture
def commands(first: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return brought_up(first, monkeypatch)


def services(commands: Commands) -> dict[str, Any]:
    return {name: {**made, "force": 0} for name, made in commands.cluster.services.items()}


def folders(commands: Commands, host: str, sections: dict[str, Any] | None) -> dict[str, bytes]:
    """What is to be in the volumes of all machines, by the state directory of `host`."""
    stack = commands.stack(host, sections)
    desired = commands.plan(host, sections).desired
    key = (stack.layout.keys / NAMES_KEY).read_bytes()
    packed, _ = _packed(Deployment(desired, key).folders())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {e.name: file.read() for e in tar if (file := tar.extractfile(e)) is not None}


def all_is_well(commands: Commands, host: str, sections: dict[str, Any] | None) -> None:
    """The stack is what `sections` say, by every host's plan, and nothing besides is left."""
    wanted = {service.name for service in commands.stack(host, sections).topology.services}
    for each in dict.fromkeys((host, "a")):
        found = commands.plan(each, sections)
        assert not found.changes, (each, found.files, found.steps.changes)
    cluster = commands.cluster
    assert set(cluster.services) == wanted
    assert Counter(c.service for h in cluster.hosts.values() for c in h.containers) == Counter(wanted)
    assert [name for name in cluster.store.names if ".lease." in name] == []
    kept = swarm_of(commands.stack(host, sections).engine)
    assert kept.services() == wanted
    there = {path: content for h in cluster.hosts.values() for path, content in h.folders.items()}
    for path, content in folders(commands, host, sections).items():
        assert there[path] == content, path
    numbers = [entry.id for entry in Ledger(commands.state(host)).entries()]
    assert numbers == list(range(1, len(numbers) + 1))


@each_row(
    "dies, number, host, command",
    [
        ("state to b", 1, "b", "up"),
        ("folders of b", 1, "b", "rollback"),
        ("config create", 1, "b", "up"),
        ("deploy redis-b", 1, "b", "rollback"),
        ("deploy app-2-a", 1, "a", "up"),
        ("remove app-b", 1, "b", "up"),
        ("remove app-b", 1, "a", "rollback"),
        (SHARES, 3, "b", "rollback"),
        (f"note rm {PROJECT}.lease", 1, "b", "up"),
    ],
)
def test_an_apply_that_was_killed_is_completed_or_undone(
    first: Commands, monkeypatch: pytest.MonkeyPatch, dies: str, number: int, host: str, command: str
) -> None:
    commands = brought_up(first, monkeypatch)
    before = services(commands)
    commands.killed("a", AFTER, dies, number)
    if host != "a":
        commands.a_minute_later()
    commands.said.words.clear()

    if command == "up":
        assert not commands.up(host, AFTER).failures
        assert set(Counter(commands.cluster.log).values()) == {1}, "nothing is done a second time"
        assert not [each for each in commands.cluster.log if each.startswith("again")]
        all_is_well(commands, host, AFTER)
    else:
        assert not [o for o in commands.rollback(host).applied.outcomes if o.error]
        all_is_well(commands, host, None)
        assert services(commands) == before
    assert any("on host a (pid" in words and "was interrupted" in words for words in commands.said.words)
    entries = Ledger(commands.state(host)).entries()
    assert entries[-1].good
    assert len(entries) <= 3


def test_the_record_says_where_it_was_killed_and_what_that_one_knew_alone_is_set_aside_later(
    commands: Commands,
) -> None:
    commands.killed("a", AFTER, "deploy redis-b")
    with pytest.raises(OpsError, match=r"on host a \(pid .*is working on this stack"):
        commands.up("b", AFTER)
    commands.a_minute_later()
    commands.up("b", AFTER)
    _, killed, last = Ledger(commands.state("b")).entries()
    assert (killed.result, last.result) == ("failed", "ok")
    assert killed.reason == "interrupted on a; last recorded state: after the files were written"
    commands.said.words.clear()
    assert not commands.plan("a", AFTER).changes
    assert any("saved separately" in words for words in commands.said.words)


@each_row("dies", ["state to c", "folders of c", "deploy mysql-c"])
def test_a_first_up_that_was_killed_is_completed_elsewhere_with_its_keys(
    first: Commands, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    commands = fresh(first, monkeypatch)
    commands.killed("a", None, dies)
    commands.a_minute_later()
    made = dict(commands.cluster.services)

    assert not commands.up("b").failures

    assert not [each for each in commands.cluster.log if not each.startswith("create ")]
    assert {name: commands.cluster.services[name] for name in made} == made, "a database has its password"
    all_is_well(commands, "b", None)


def test_a_first_up_that_was_killed_is_taken_down_elsewhere(
    first: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fresh(first, monkeypatch)
    commands.killed("a", None, "deploy mysql-c")
    commands.a_minute_later()
    assert commands.down("b")
    assert commands.cluster.services == {}
    assert [name for name in commands.cluster.store.names if ".lease." in name] == []


@each_row("dies", ["remove redis-b", "secrets rm", SHARES])
def test_a_down_that_was_killed_is_completed_or_undone_elsewhere(
    first: Commands, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    commands = brought_up(first, monkeypatch)
    commands.killed("a", None, dies, downs=True)
    commands.a_minute_later()
    other = commands.cluster.copied()

    commands.down("b")
    assert commands.cluster.services == {}

    shutil.rmtree(commands.state("b"))
    commands.cluster = other
    assert not commands.up("b").failures
    all_is_well(commands, "b", None)


def test_a_service_that_was_made_elsewhere_and_has_no_container_is_not_left(commands: Commands) -> None:
    commands.cluster.hosts["a"].refuses = "app-2-a"
    commands.killed("a", AFTER, "remove app-2-a")
    assert "app-2-a" in commands.cluster.services
    commands.a_minute_later()

    assert not [o for o in commands.rollback("b").applied.outcomes if o.error]

    all_is_well(commands, "b", None)


def test_ctrl_c_frees_the_lease_and_shares_what_was_done(commands: Commands) -> None:
    opened = commands.stack("a", AFTER)
    commands.cluster.on(commands.state("a"), dies="deploy redis-b", interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        commands.up_opened(opened)
    assert any("`techsapo rollback` undoes it" in words for words in commands.said.words)

    assert not commands.up("b", AFTER).failures, "at once"
    all_is_well(commands, "b", AFTER)
    killed = Ledger(commands.state("b")).entries()[1]
    assert killed.reason == "interrupted on a; last recorded state: while services were changed"


def test_one_host_on_which_a_service_does_not_start_takes_all_back(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_ASKED_EVERY", 0)
    monkeypatch.setattr(watch, "_REFUSED_AFTER", 0)
    before = services(commands)
    commands.cluster.hosts["c"].refuses = "app-2-c"

    report = commands.up("a", AFTER)

    assert report.back is not None
    assert not report.back.failures
    assert any(o.error and "No such image" in o.error.message for o in report.failures)
    assert services(commands) == before
    all_is_well(commands, "a", None)


def test_a_stack_is_not_taken_down_on_some_hosts_alone_unless_the_others_are_gone(commands: Commands) -> None:
    commands.cluster.hosts["c"].silent = "Connection timed out"
    with pytest.raises(OpsError, match="can't stop the services on c: ") as refused:
        commands.down("a")
    assert "`techsapo hosts remove c --gone`" in refused.value.hint
    assert commands.cluster.services


def test_where_a_host_does_not_answer_nothing_is_begun(commands: Commands) -> None:
    before = commands.cluster.services
    commands.cluster.hosts["c"].silent = "Connection timed out"
    who = commands.cluster.on(commands.state("a"))

    with pytest.raises(OpsError, match=r"not all hosts can be reached \(c: .*timed out") as refused:
        commands.up("a", AFTER)

    assert "`techsapo hosts replace c`" in refused.value.hint
    assert "`techsapo hosts remove c --gone`" in refused.value.hint
    assert who.points == []
    assert commands.cluster.services == before
    assert len(Ledger(commands.state("a")).entries()) == 1


def test_what_a_host_that_is_away_lacks_is_told_until_it_has_it(commands: Commands) -> None:
    engine = commands.stack("a").engine
    away = commands.cluster.hosts["c"]
    away.silent = "Connection timed out"
    engine.forget()
    assert engine.deliver() == {}, "it has what there is"
    (commands.state("a") / "api-keys").mkdir(exist_ok=True)
    (commands.state("a") / "api-keys/keys.json").write_text('{"keys": []}')
    for _ in range(2):
        assert list(engine.deliver()) == ["c"]
    away.silent = ""
    engine.forget()
    assert engine.deliver() == {}
    assert any(content == b'{"keys": []}' for content in away.folders.values())

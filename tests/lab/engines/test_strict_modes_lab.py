"""Whose files are relied on: a table of owners and modes, in real folders."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import strict_modes, trusted_users
from techsapo_ops.adapters.process import Command, SubprocessRunner, which
from techsapo_ops.adapters.strict_modes import StrictModes, UntrustedError

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act for others"),
]

ALICE, BOB = 54321, 54322
OPEN_GROUP = 54323
"""A group that nobody knows, so that anybody may be in it."""
ROOT_GROUP = 0
DAEMON = pwd.getpwnam("daemon")


def spec_below(tmp_path: Path) -> Path:
    """`ops/spec`, root's, below a folder of root's."""
    folder = tmp_path / "above" / "ops"
    folder.mkdir(parents=True)
    (folder / "spec").touch()
    return tmp_path / "above"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return spec_below(tmp_path)


def judged(path: Path, *trusted: int) -> list[str]:
    modes = StrictModes(frozenset({0, *trusted}))
    modes.judge(path)
    return [f"{fault} | {fault.fix}" for fault in modes.faults]


CASES: tuple[tuple[str, str, Mapping[str, int], tuple[int, ...], str, str], ...] = (
    # what is changed, how, whom is trusted besides root, what is said, the command that helps
    ("ops/spec", "roots own", {}, (), "", ""),
    ("ops/spec", "another user's", {"uid": ALICE}, (), "is owned by uid 54321 (mode 0644)", "chown root {}"),
    ("ops/spec", "a trusted user's", {"uid": ALICE}, (ALICE,), "", ""),
    ("ops/spec", "not the trusted one's", {"uid": BOB}, (ALICE,), "is owned by uid 54322", "chown root {}"),
    ("ops", "its folder another's", {"uid": ALICE}, (), "is owned by uid 54321 (mode 0755)", "chown root {}"),
    (".", "one further up another's", {"uid": ALICE}, (), "is owned by uid 54321", "chown root {}"),
    ("ops/spec", "writable by all", {"mode": 0o646}, (), "by everyone (mode 0646)", "chmod o-w {}"),
    ("ops/spec", "by group and all", {"mode": 0o666, "gid": OPEN_GROUP}, (), "by everyone", "chmod go-w {}"),
    ("ops", "its folder, by all", {"mode": 0o757}, (), "by everyone (mode 0757)", "chmod o-w {}"),
    ("ops", "its folder, sticky", {"mode": 0o1777}, (), "", ""),
    (".", "sticky further up, as /tmp", {"mode": 0o1777}, (), "", ""),
    (".", "sticky, but another's", {"mode": 0o1777, "uid": ALICE}, (), "is owned by", "chown root {}"),
    ("ops/spec", "by a group of unknown members", {"mode": 0o664, "gid": OPEN_GROUP}, (),
     "by the group gid 54323 (mode 0664)", "chmod g-w {}"),
    ("ops/spec", "by a group with a stranger", {"mode": 0o664, "gid": DAEMON.pw_gid}, (),
     "by the group daemon", "chmod g-w {}"),
    ("ops/spec", "by a group of trusted members", {"mode": 0o664, "gid": DAEMON.pw_gid}, (DAEMON.pw_uid,),
     "", ""),
    ("ops", "its folder, by the group of root", {"mode": 0o775, "gid": ROOT_GROUP}, (), "", ""),
    ("ops", "its folder, by a stranger's group", {"mode": 0o2775, "gid": DAEMON.pw_gid}, (),
     "by the group daemon (mode 2775)", "chmod g-w {}"),
)  # fmt: skip


@each_row("name, what, facts, trusted, said, fix", CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_owners_and_modes_are_judged_with_the_command_that_helps(
    tmp_path: Path,
    name: str,
    what: str,
    facts: Mapping[str, int],
    trusted: tuple[int, ...],
    said: str,
    fix: str,
) -> None:
    top = spec_below(tmp_path)
    changed = top / name
    os.chown(changed, facts.get("uid", -1), facts.get("gid", -1))
    if "mode" in facts:
        changed.chmod(facts["mode"])
    found = judged(top / "ops" / "spec", *trusted)
    if not said:
        assert found == []
    else:
        (only,) = found
        assert only.startswith(f"{changed} ")
        assert said in only
        assert only.endswith(f"| {fix.format(changed)}")


def test_links_are_judged_with_what_they_lead_to(top: Path) -> None:
    theirs = top / "theirs"
    theirs.mkdir()
    (theirs / "spec").touch()
    os.chown(theirs / "spec", ALICE, ALICE)
    link = top / "ops" / "link"
    link.symlink_to("../theirs/spec")
    assert judged(link) == [f"{theirs}/spec is owned by uid 54321 (mode 0644) | chown root {theirs}/spec"], (
        "root's own link to another user's file"
    )
    os.chown(theirs / "spec", 0, 0)
    assert judged(link) == []
    os.chown(link, ALICE, ALICE, follow_symlinks=False)
    assert judged(link) == [f"{link} is owned by uid 54321 (mode 0777) | chown -h root {link}"]
    os.chown(link, 0, 0, follow_symlinks=False)
    around = top / "ops" / "around"
    around.symlink_to(theirs)
    theirs.chmod(0o777)
    assert judged(around / "spec") == [f"{theirs} is writable by everyone (mode 0777) | chmod o-w {theirs}"]
    loop = top / "loop"
    loop.symlink_to("loop")
    assert judged(loop) == []


def test_a_path_that_ends_at_a_sticky_folder_is_what_others_put_there(top: Path) -> None:
    sticky = top / "ops"
    (sticky / "mine").mkdir()
    (sticky / "back").symlink_to("mine/..")
    (sticky / "here").symlink_to(".")
    sticky.chmod(0o1777)
    for end in ("mine/..", "back", "here", "missing", "missing/deeper"):
        (found,) = judged(sticky / end)
        assert found.startswith(f"{sticky} is writable by everyone (mode 1777)"), end
    assert judged(sticky / "mine") == []


def test_a_tree_goes_on_where_a_link_in_it_leads(top: Path) -> None:
    tree, shared = top / "ops", top / "shared"
    (shared / "deep").mkdir(parents=True)
    (shared / "around").symlink_to(shared)
    theirs = shared / "deep" / "nginx.conf.j2"
    theirs.touch()
    (tree / "nginx").symlink_to(shared)
    modes = StrictModes(frozenset({0}))
    modes.tree(tree)
    assert modes.faults == []
    os.chown(theirs, ALICE, ALICE)
    modes.tree(tree)
    assert [fault.fix for fault in modes.faults] == [f"chown -R root {shared}"]


def test_the_mask_of_an_access_list_is_no_group(top: Path) -> None:
    spec = top / "ops" / "spec"
    spec.chmod(0o664)
    acl = b"\x02\x00\x00\x00" + b"".join(
        tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, perm, who in (
            (1, 6, 0xFFFFFFFF), (2, 6, ALICE), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF),
        )
    )  # fmt: skip
    try:
        os.setxattr(spec, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access lists")
    (found,) = judged(spec)
    assert found.endswith(f"| chmod g-w {spec}")


def test_one_file_in_a_tree_is_enough_and_the_command_is_about_the_whole(top: Path) -> None:
    inner = top / "ops" / "a" / "b"
    inner.mkdir(parents=True)
    for name in ("one", "two"):
        (inner / name).touch()
        os.chown(inner / name, ALICE, ALICE)
    modes = StrictModes(frozenset({0}))
    modes.tree(top / "ops")
    assert [fault.fix for fault in modes.faults] == [f"chown -R root {top}/ops"]
    services = StrictModes(frozenset({0}))
    services.tree(top / "ops", also=lambda: frozenset({ALICE}))
    assert services.faults == []
    (inner / "two").chmod(0o666)
    services.tree(top / "ops", also=lambda: frozenset({ALICE}))
    assert [fault.fix for fault in services.faults] == [f"chmod -R go-w {top}/ops"]


def test_nobody_is_asked_to_give_a_home_away(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(top, DAEMON.pw_uid, DAEMON.pw_gid)
    entry = pwd.struct_passwd((*DAEMON[:5], str(top), DAEMON[6]))
    monkeypatch.setattr(strict_modes.pwd, "getpwuid", lambda _: entry)
    modes = StrictModes(frozenset({0}))
    modes.judge(top / "ops")
    with pytest.raises(UntrustedError) as refused:
        modes.require()
    assert "chown" not in refused.value.hint
    assert "move the files to a place where nobody else can write" in refused.value.hint


@pytest.fixture
def recorded(top: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of trusted users, elsewhere than in /etc."""
    path = top / "etc" / "trusted-users"
    path.parent.mkdir()
    monkeypatch.setattr(trusted_users, "TRUSTED_USERS", path)
    return path


def test_root_trusts_the_user_of_sudo_as_git_counts_it(recorded: Path) -> None:
    assert trusted_users.trusted_users({"SUDO_UID": str(ALICE)}) == {0, ALICE}
    for value in ("", "alice", f"{ALICE} ", f"+{ALICE}", "-1", "4294967295", f"0x{ALICE:x}", "٣"):
        assert trusted_users.trusted_users({"SUDO_UID": value}) == {0}, value


def test_without_root_sudo_and_the_list_name_nobody(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.write_text("daemon\n")
    monkeypatch.setattr(os, "geteuid", lambda: BOB)
    assert trusted_users.trusted_users({"SUDO_UID": str(ALICE)}) == {0, BOB}


def test_recorded_users_count_by_name_and_those_that_are_gone_do_not(recorded: Path) -> None:
    assert trusted_users.trusted_users({}) == {0}
    recorded.write_text(f"{ALICE}\ndaemon\nno-such-user\n")
    assert trusted_users.trusted_users({}) == {0, ALICE, DAEMON.pw_uid}
    recorded.write_text("# by hand\n daemon # the daemon\n\n")
    assert trusted_users.trusted_users({}) == {0, DAEMON.pw_uid}


@pytest.mark.parametrize("how", ["owner", "mode", "folder"])
def test_a_list_that_others_may_write_is_refused(recorded: Path, how: str) -> None:
    recorded.write_text("daemon\n")
    if how == "owner":
        os.chown(recorded, ALICE, ALICE)
    else:
        (recorded if how == "mode" else recorded.parent).chmod(0o777)
    with pytest.raises(UntrustedError) as refused:
        trusted_users.trusted_users({})
    assert str(recorded.parent) in refused.value.message
    assert ("chown root" if how == "owner" else "chmod o-w") in refused.value.hint


@pytest.fixture
def program(top: Path, recorded: Path) -> Path:
    """A program that notes that it ran."""
    path = top / "bin" / "docker"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\ntouch {top}/ran\n")
    path.chmod(0o755)
    return path


def test_a_program_of_another_user_is_not_run_bywhatever_name(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = program.parents[1] / "ran"
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    SubprocessRunner().run(Command(("docker",)))
    assert ran.exists()
    ran.unlink()
    os.chown(program, ALICE, ALICE)
    for words in (("docker",), (str(program),)):
        with pytest.raises(UntrustedError, match="docker is owned by"):
            SubprocessRunner().run(Command(words))
    with pytest.raises(UntrustedError, match="docker is owned by"):
        SubprocessRunner().run(Command(("./docker",), cwd=program.parent))
    with pytest.raises(UntrustedError):
        which("docker")
    assert not ran.exists()


def test_without_root_neither_and_the_folder_is_to_leave_path(program: Path) -> None:
    """As bob, whose PATH begins with a folder of alice's; the child has his rights."""
    for path in (program.parent, program):
        os.chown(path, ALICE, ALICE)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = b"it ran"
        try:
            os.environ["PATH"] = str(program.parent)
            os.geteuid = lambda: BOB  # type: ignore[assignment]
            SubprocessRunner().run(Command(("docker",)))
        except UntrustedError as error:
            said = str(error).encode()
        finally:
            os.write(writing, said)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert f"{program} is owned by uid 54321" in said
    assert f"`sudo chown {BOB} {program.parent} {program}`" in said
    assert "remove the program's folder from PATH" in said
    assert "trusted-users" not in said, "that is root's alone"


def test_what_is_run_is_the_program_that_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, words in (("here", "judged"), ("there", "not judged")):
        program = tmp_path / folder / "bin" / "hello"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho {words}\n")
        program.chmod(0o755)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", "bin:/usr/bin:/bin")
    done = SubprocessRunner().run(Command(("hello",), cwd=tmp_path / "there"))
    assert done.output == "judged"


def test_junk_in_the_list_of_trusted_users_trusts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "trusted-users"
    listed.write_bytes(b"daemon # a comment\n\0\0\0\n-1\n4294967295\n99999999999\nno such\n")
    monkeypatch.setattr(trusted_users, "TRUSTED_USERS", listed)
    assert trusted_users.trusted_users({}) == {0, DAEMON.pw_uid}


@each_row("variable", ["HOME", "DOCKER_CONFIG"])
@each_row("changed", ["cli-plugins/docker-compose", "cli-plugins", "config.json", "."])
def test_plugins_of_docker_are_judged_as_it_is_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, changed: str
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    (tmp_path / "bin").mkdir()
    for name in ("bin/docker", ".docker/cli-plugins/docker-compose", ".docker/config.json"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\necho docker\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv(variable, str(tmp_path if variable == "HOME" else tmp_path / ".docker"))
    ask = Command(("docker", "compose", "version"))
    assert SubprocessRunner().run(ask).output == "docker"
    os.chown(tmp_path / ".docker" / changed, ALICE, ALICE)
    with pytest.raises(UntrustedError, match="is owned by uid 54321"):
        SubprocessRunner().run(ask)

"""A host that never ran the stack goes on with it: where what comes is put."""

from __future__ import annotations

from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.hosts.adopt import _placed, _require_free, adopt
from techsapo_ops.stack.machine import Machine
from tests.fakes.swarm_hosts import HostsFake

SSH = "error during connect: command [ssh -- a docker] has exited with exit status 255: stderr="
A = Machine("a", "10.0.0.1", "ssh://ops@a")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """What came from the machines."""
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "techsapo.yaml").write_text("project: shop\n")
    (copies / ".lacking.json").write_text("[]")
    return copies


def test_nothing_is_put_into_a_folder_that_is_no_stacks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    _require_free(home, "shop", force=False)
    (home / ".techsapo").mkdir()
    _require_free(home, "shop", force=False)
    (home / "letters").mkdir()
    with pytest.raises(OpsError, match="home is no folder of a stack, and holds letters"):
        _require_free(home, "shop", force=False)
    _require_free(home, "shop", force=True)
    (home / "techsapo.yaml").touch()
    _require_free(home, "shop", force=False)


def test_a_stack_on_one_host_keeps_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".techsapo/ledger").mkdir(parents=True)
    with pytest.raises(OpsError, match="a stack on one host"):
        _require_free(tmp_path, "shop", force=True)
    note_machines(tmp_path / ".techsapo", "shop", [A])
    _require_free(tmp_path, "shop", force=False)
    with pytest.raises(OpsError, match="the folder of the stack shop"):
        _require_free(tmp_path, "other", force=True)


def test_what_travels_as_the_spec_is_none_of_the_state_directory(tmp_path: Path, copies: Path) -> None:
    (copies / ".techsapo/run").mkdir(parents=True)
    (copies / ".techsapo/run/x").write_text("made up")
    files, _ = _placed(copies, tmp_path / "here", force=True)
    assert files == (tmp_path / "here/techsapo.yaml",)
    assert not (tmp_path / "here/.techsapo").exists()


@each_row(
    "source", ["b", "tcp://b", "http://b:2375", "ssh://b/x", "ssh://-oProxyCommand=x", "ssh://ops:secret@b"]
)
def test_what_no_spec_may_have_is_no_way_to_adopt_by(tmp_path: Path, source: str) -> None:
    hosts = HostsFake()
    with pytest.raises(OpsError, match=r"--from: must be ssh://\[USER@\]HOST\[:PORT\] ") as refused:
        adopt(hosts, source, tmp_path / "st", say=print)
    assert refused.value.exit_code == 2
    assert "secret" not in refused.value.message
    assert not hosts.asked
    assert not (tmp_path / "st").exists()


@each_row(
    "source, silent, said, hint",
    [
        ("ssh://ops@b", SSH + "ssh: Could not resolve hostname b: Name or service not known",
         "b can't be reached: nobody knows the name b",
         "put it into /etc/hosts, or write its address; name a host that answers: `--from ssh://ops@a`"),
        ("ssh://ops@b", "timeout", "b can't be reached: it did not answer within 30 s",
         "name a host that answers: `--from ssh://ops@a`"),
        ("unix:///run/b", "Cannot connect to the Docker daemon at unix:///run/b.",
         "unix:///run/b can't be reached: its Docker does not run",
         "name a host that answers: `--from ssh://ops@a`"),
    ],
)  # fmt: skip
def test_a_host_that_does_not_answer_is_told_and_another_asked_for(
    tmp_path: Path, source: str, silent: str, said: str, hint: str
) -> None:
    hosts = HostsFake()
    hosts.hosts["b"].silent = silent
    with pytest.raises(OpsError) as refused:
        adopt(hosts, source, tmp_path / "st", say=print)
    assert (refused.value.message, refused.value.hint) == (said, hint)
    assert not (tmp_path / "st").exists()

"""Images that are copied from one machine to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import process
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.engines.swarm import images
from techsapo_ops.errors import OpsError


def client(folder: Path, save: str, load: str, names: str = "ab") -> Fleet:
    """Machines whose docker client is a program that does only what is said here; $name is who is asked."""
    program = folder / "docker"
    cases = f"save) {save} ;;\nload) {load} ;;\n*) exit 9 ;;"
    program.write_text(f"#!/bin/sh\nname=${{2##*/}}\ncase $3 in\n{cases}\nesac\n")
    program.chmod(0o755)
    return Fleet(SubprocessRunner(), str(program), {name: f"unix:///{name}" for name in names})


def copy(fleet: Fleet) -> None:
    images._copy(fleet, "a", "techsapo/app:1", [name for name in fleet.members if name != "a"])


def test_what_one_machine_saves_once_several_load(tmp_path: Path) -> None:
    """More of it than fits into a pipe, and one that takes it slowly."""
    saving = f"echo saved >> {tmp_path}/saves; head -c 3000000 /dev/zero; echo the end"
    copy(client(tmp_path, saving, f"[ $name = b ] && sleep 0.2; cat > {tmp_path}/$name", "abc"))
    for name in "bc":
        loaded = (tmp_path / name).read_bytes()
        assert (len(loaded), loaded[-8:]) == (3_000_008, b"the end\n")
    assert (tmp_path / "saves").read_text() == "saved\n"


def test_one_that_does_not_take_it_is_named_and_the_others_have_all(tmp_path: Path) -> None:
    refusing = "if [ $name = b ]; then echo no space left on device >&2; exit 1; fi"
    fleet = client(tmp_path, "head -c 3000000 /dev/zero", f"{refusing}; cat > {tmp_path}/$name", "abc")
    with pytest.raises(OpsError, match=r"from a to b: b: no space left on device$"):
        copy(fleet)
    assert (tmp_path / "c").stat().st_size == 3_000_000


def test_where_several_are_to_have_what_is_given_up_nothing_of_it_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_COPY_SECONDS", 0.5)
    running = f"echo $$ >> {tmp_path}/running; exec sleep 600"
    with pytest.raises(OpsError, match="cannot copy techsapo/app:1 from a to b, c: the copy took longer"):
        copy(client(tmp_path, running, running, "abc"))
    pids = (tmp_path / "running").read_text().split()
    assert len(pids) == 3
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@each_row("bring", [copy, lambda fleet: images._pull(fleet, "techsapo/app:1", "b")], ids=["copy", "pull"])
def test_what_a_lost_machine_is_to_have_is_given_up_long_before_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bring: Callable[[Fleet], None]
) -> None:
    monkeypatch.setattr(images, "_AWAY_SECONDS", 0.5)
    monkeypatch.setattr(process, "_WATCH_SECONDS", 0.1)
    running = f"echo $$ >> {tmp_path}/running; exec sleep 600"
    fleet = client(tmp_path, running, running)
    program = tmp_path / "docker"
    more = f"case $2-$3 in\n*-pull) {running} ;;\n*a-version) echo 26.1.5; exit 0 ;;\nesac\n"
    program.write_text(program.read_text().replace("case", f"{more}case", 1))

    with pytest.raises(OpsError, match=r"b can't be reached: no answer for \d+ s") as lost:
        bring(fleet)

    assert "hosts check b" in lost.value.hint
    for pid in (tmp_path / "running").read_text().split():
        assert not Path(f"/proc/{pid}").exists()


def test_why_an_image_could_not_be_saved_is_told_before_what_the_other_machine_made_of_it(
    tmp_path: Path,
) -> None:
    saving = "echo half; echo Cannot connect to the Docker daemon >&2; exit 1"
    with pytest.raises(OpsError, match=r"from a to b: a: Docker is not running$"):
        copy(client(tmp_path, saving, "cat > /dev/null"))
    with pytest.raises(OpsError, match=r"a: Docker is not running; b: unexpected EOF$"):
        copy(client(tmp_path, saving, "cat > /dev/null; echo unexpected EOF >&2; exit 1"))


def test_that_nobody_took_what_was_saved_is_no_reason(tmp_path: Path) -> None:
    loading = "echo no space left on device >&2; exit 1"
    for saving in ("echo write /dev/stdout: broken pipe >&2; exit 1", "exec yes"):
        with pytest.raises(OpsError, match=r"from a to b: b: no space left on device$"):
            copy(client(tmp_path, saving, loading))

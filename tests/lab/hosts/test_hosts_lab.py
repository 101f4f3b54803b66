"""Hosts of a stack on real Docker: looked at, joined, drained, lost, and gone on with elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from servers import wait_for
from swarm_lab import SwarmLab, swarm_lab

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.apply.spec_files import keep_spec_files
from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.engines.swarm.shared_state import SharedState
from techsapo_ops.stack.service import machines_of
from tests.fakes.open_stacks import open_stack

pytestmark = pytest.mark.lab

OFF = {"enabled": False}
SECTIONS = {"project": "hosts", "mysql": {}, "monitoring": {"grafana": OFF}}


@pytest.fixture(scope="module")
def lab() -> Iterator[SwarmLab]:
    with swarm_lab(joined=False) as made:
        yield made


@pytest.fixture(scope="module")
def project(lab: SwarmLab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Its commands run on machine a, and reach every Docker by its socket, which takes less time than ssh."""
    spec = lab.spec(**SECTIONS)
    return Project(tmp_path_factory.mktemp("hosts"), spec, environment=lab.ssh, launcher=lab.enter("a"))


def facts(project: Project, *arguments: str, code: int = 0) -> dict[tuple[str | None, str], dict[str, Any]]:
    said = json.loads(project.run("hosts", "check", *arguments, "--json", code=code).stdout)
    assert said["well"] == (code == 0)
    return {(fact["host"] or None, fact["name"]): fact for fact in said["facts"]}


def failed(found: dict[tuple[str | None, str], dict[str, Any]]) -> set[tuple[str | None, str]]:
    return {where for where, fact in found.items() if fact["level"] == "failed"}


def test_hosts_come_to_one_swarm_and_are_well(lab: SwarmLab, project: Project) -> None:
    before = facts(project, code=1)
    assert failed(before) == {(name, "swarm") for name in "abc"}
    assert {before[name, "network"]["level"] for name in "abc"} == {"ok"}

    refused = project.run("up", "--yes", code=1)
    assert "the hosts are not in a Swarm yet" in refused.stderr
    assert "techsapo hosts add" in refused.stderr

    assert "now in the Swarm: a, b, c\n" in project.run("hosts", "add").stderr
    assert lab.nodes("c") == dict.fromkeys("abc", "Ready")
    heartbeat = lab.docker("b", "info", "--format", "{{.Swarm.Cluster.Spec.Dispatcher.HeartbeatPeriod}}")
    assert heartbeat.stdout.strip() == "20s"

    directory = project.directory.with_name("by-ssh")  # as an operator reaches them
    directory.mkdir()
    by_ssh = lab.spec(by_ssh=True, **SECTIONS)
    after = facts(Project(directory, by_ssh, environment=lab.ssh, launcher=lab.enter("a")))
    assert after["a", "swarm"]["detail"] == "manager and leader"
    assert "all hosts are already in the Swarm" in project.run("hosts", "add").stderr


def test_a_port_that_somebody_else_has_is_named(lab: SwarmLab, project: Project) -> None:
    argv = ("redis-server", "--port", "6379", "--protected-mode", "no", "--save", "")
    started = lab.docker("b", "run", "--detach", "--network", "host", lab.images["redis"], *argv)
    try:
        wait_for(lambda: lab.reaches("a", lab.machines["b"].address, 6379), what="a stranger's Redis")
        assert "6379 (redis-b)" in facts(project, "b", code=1)["b", "ports"]["detail"]
    finally:
        lab.docker("b", "rm", "--force", started.stdout.strip())


def test_a_drained_host_takes_nothing_until_it_is_active_again(lab: SwarmLab, project: Project) -> None:
    project.run("hosts", "drain", "c")
    assert facts(project)["c", "swarm"]["level"] == "warning"

    project.run("hosts", "activate", "c")
    assert facts(project)["c", "swarm"]["level"] == "ok"


def test_another_machine_goes_on_with_the_spec_and_the_state(
    lab: SwarmLab, project: Project, tmp_path: Path
) -> None:
    (project.directory / ".env").write_text("SOME=secret\n")
    share(project, lab)
    folder = tmp_path / "survivor"
    folder.mkdir()

    # As docs/three-machines.md says.
    lab.docker("b", "cp", "hosts-state:/state", str(tmp_path))
    bundle = next((tmp_path / "state").glob("state-*.tar"))
    subprocess.run(["tar", "-xf", bundle, "-C", folder, "--strip-components=1", "spec-files"], check=True)

    survivor = replace(project, directory=folder)
    assert (folder / ".env").read_text() == "SOME=secret\n"
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    survivor.popen("status").communicate(timeout=90)
    assert (folder / ".techsapo/keys/some-key").read_text() == "key"


def share(project: Project, lab: SwarmLab) -> None:
    """What an apply shares of a stack, without bringing it up."""
    from techsapo_ops.adapters.host_facts import HostFacts
    from techsapo_ops.cli.project import open_project
    from techsapo_ops.services.registry import resolve
    from techsapo_ops.stack.places import places_of

    opened = open_project(project.directory / "techsapo.yaml")
    topology = resolve(opened.spec, places_of("swarm"), opened.layout, HostFacts("/usr/bin/python3"))
    keep_spec_files(open_stack(topology))
    (project.state / "keys").mkdir(exist_ok=True)
    (project.state / "keys/some-key").write_text("key")
    note_machines(project.state, "hosts", machines_of(opened.spec))
    sockets = {name: machine.docker for name, machine in lab.machines.items()}
    SharedState(project.state, "hosts", Fleet(SubprocessRunner(), "docker", sockets), print).publish()


def test_a_lost_machine_is_removed_and_a_new_one_joins_in_its_place(lab: SwarmLab, project: Project) -> None:
    lab.kill("c")
    found = facts(project, code=1)
    assert ("c", "docker") in failed(found)
    assert found["a", "address"]["level"] == "ok"
    wait_for(lambda: unreachable(lab, "c"), timeout=120, what="the managers' word that c does not answer")
    assert project.run("hosts", "remove", "c", "--yes", code=2).stderr.count("hosts replace c") == 1
    project.run("hosts", "remove", "c", "--gone", "--yes")
    assert set(lab.nodes("a")) == {"a", "b"}

    shutil.rmtree(lab.machines["c"].folder / "data/swarm")  # a new machine of that name, with its images
    lab.start("c")
    assert "now in the Swarm: c\n" in project.run("hosts", "add", "c").stderr
    assert failed(facts(project)) == set()


def unreachable(lab: SwarmLab, host: str) -> bool:
    form = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"
    said = lab.docker("a", "node", "ls", "--format", form, check=False).stdout
    return (
        f"{host} Down" in said or f"{host} Unknown Unreachable" in said or f"{host} Ready Unreachable" in said
    )

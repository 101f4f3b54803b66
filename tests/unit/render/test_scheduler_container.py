"""The container that starts the jobs: only where it may have the socket, and with what jobs need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import HOSTILE_FOLDER, host, spec, templates, topology

from techsapo_ops.adapters.host_facts import Owner
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.report import notes
from techsapo_ops.operations.jobs.timetable import NOBODY
from techsapo_ops.render.compose import PRODUCTION_YML, compose_files
from techsapo_ops.render.secrets import secret_files
from techsapo_ops.services.app.image import DOCKERFILE
from techsapo_ops.services.prometheus.recording import expected_jobs
from techsapo_ops.services.registry import resolve
from techsapo_ops.services.scheduler.container import binds
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import COMPOSE

SOCKET = "/var/run/docker.sock"
USER = Owner(uid=1000, gid=100, home="/home/ops", zone="Asia/Tokyo", socket_gid=998)


def files(
    directory: Path, owner: Owner = USER, backup: dict[str, Any] | None = None, **schedule: Any
) -> dict[str, str]:
    wanted = spec(schedule={"docker_socket": SOCKET, **schedule}, backup=backup or {})
    made = topology(wanted, directory, "compose", replace(host(), owner=owner))
    return {file.path: file.content for file in compose_files(made, templates(), secret_files(made))}


def service(directory: Path, owner: Owner = USER) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(files(directory, owner)[PRODUCTION_YML])["services"]["scheduler"]
    return found


def around(directory: Path) -> Layout:
    return Layout(directory / ".techsapo", directory / ".techsapo/generated")


def test_without_the_socket_or_where_others_start_the_jobs_there_is_none(tmp_path: Path) -> None:
    for schedule in ({"docker_socket": None}, {"by": "cron"}):
        made = files(tmp_path, **schedule)
        assert "scheduler" not in read_yaml(made[PRODUCTION_YML])["services"]
        assert "docker/scheduler/Dockerfile" not in made


def test_it_works_as_the_owner_with_the_hosts_paths_network_pids_and_zone(tmp_path: Path) -> None:
    project = tmp_path / HOSTILE_FOLDER
    made = service(project)
    assert (made["user"], made["group_add"]) == ("1000:100", ["998"])
    assert (made["network_mode"], made["pid"]) == ("host", "host")
    assert "cap_add" not in made
    assert "networks" not in made
    targets = {m["target"].replace("$$", "$"): m["read_only"] for m in made["volumes"]}
    assert targets == {str(project): False, SOCKET: True}
    environment = made["environment"]
    assert environment["DOCKER_HOST"] == f"unix://{SOCKET}"
    assert (environment["HOME"], environment["TZ"]) == ("/home/ops", "Asia/Tokyo")
    assert made["command"][:3] == ["jobs", "schedule", "--file"]


@each_row("named, seen", [("../shared/mine", ["shared/mine"]), ("mine", [])])
def test_it_sees_the_folder_of_templates_that_the_spec_names(
    tmp_path: Path, named: str, seen: list[str]
) -> None:
    wanted = spec(schedule={"docker_socket": SOCKET}, template_overrides=named)
    project = tmp_path / "project"
    found = {bind.source for bind in binds(resolve(wanted, COMPOSE, around(project), host()))}
    assert found == {project, Path(SOCKET), *(tmp_path / name for name in seen)}


def test_its_image_is_the_apps_with_the_docker_client_and_the_apps_stays_the_same(tmp_path: Path) -> None:
    made = files(tmp_path)
    assert made[DOCKERFILE] in made["docker/scheduler/Dockerfile"] + "\n"
    assert made["docker/scheduler/Dockerfile"].count("COPY --from=docker-cli") == 2
    without = files(tmp_path, docker_socket=None)
    images = [read_yaml(f[PRODUCTION_YML])["services"]["app"]["image"] for f in (made, without)]
    assert images[0] == images[1], "or turning the scheduler on would make every app anew"


def test_what_the_spec_names_outside_of_the_project_is_there_too(tmp_path: Path) -> None:
    project = tmp_path / "project"
    wanted = spec(
        schedule={"docker_socket": SOCKET},
        backup={
            "path": "/backup",
            "offsite": {"restic": "/mnt/far", "password": "p"},
            "paths": ["/app/config", "own.txt", "../beside/x", "/usr/local/x"],
        },
        redis={"password": Secret("x", file="/etc/techsapo/redis")},
        certificates={
            "a": {
                "source": "files", "names": ["a.example.com"], "certificate_file": "/etc/a.pem",
                "private_key_file": "/srv/keys/a.pem", "install_to": "/etc/ssl/certs",
            }
        },
    )  # fmt: skip
    where = resolve(wanted, COMPOSE, around(project), host())
    found = {bind.target: bind.writable for bind in binds(where)}
    assert found == {
        "/backup": True, "/mnt/far": True, "/etc/ssl/certs": True, str(project): True,
        "/app": False, "/etc/techsapo": False, "/etc/a.pem": False, "/srv/keys": False, SOCKET: False,
        str(tmp_path / "beside"): False, "/usr/local/x": False,
    }  # fmt: skip


@each_row("path", ["/", "/etc", "/usr", "/var/lib"])
def test_a_folder_that_would_hide_the_containers_own_is_refused(path: str, tmp_path: Path) -> None:
    wanted = spec(schedule={"docker_socket": SOCKET}, backup={"path": path})
    with pytest.raises(OpsError, match=rf"backup\.path: .* can't be given {path}") as caught:
        binds(resolve(wanted, COMPOSE, around(tmp_path), host()))
    assert "cron" in caught.value.hint


def test_jobs_are_expected_where_somebody_starts_them_and_else_up_says_that_nobody_does(
    tmp_path: Path,
) -> None:
    for schedule, started in (({}, False), ({"docker_socket": SOCKET}, True), ({"by": "cron"}, True)):
        wanted = spec(schedule=schedule)
        made = topology(wanted, tmp_path, "compose")
        assert bool(expected_jobs(made)) is started
        assert (NOBODY in notes(made, SubprocessRunner())) is not started

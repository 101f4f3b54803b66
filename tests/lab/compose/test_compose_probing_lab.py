"""Containers whose front is asked by TLS: the exporter is given the chain to know it by, and no key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project
from projects import Project, small_spec
from servers import wait_for

pytestmark = pytest.mark.lab

PROJECT = f"lab-probing-{os.getpid()}"
NAME = "ops.example.com"


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = small_spec(project=PROJECT, redis={"enabled": False}, certificates={"site": {"names": [NAME]}})
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    spec["monitoring"]["exporters"]["blackbox"]["enabled"] = True
    with docker_project(lab_images, spec) as made:
        made.run("up", "--yes", timeout=400)
        yield made


def query(stack: Project, expression: str) -> list[dict[str, Any]]:
    answer = stack.ask("prometheus", f"api/v1/query?query={quote(expression)}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def success(stack: Project, name: str) -> str:
    return str(next((r["value"][1] for r in query(stack, f'probe_success{{name="{name}"}}')), ""))


def test_the_front_is_asked_by_tls_under_its_outside_name_and_by_the_stacks_own_authority(
    stack: Project,
) -> None:
    wait_for(lambda: success(stack, "nginx") == "1", what="the front answers")
    (shown,) = query(stack, 'probe_ssl_last_chain_info{job="techsapo-probes"}')
    assert shown["metric"]["subjectalternative"] == NAME


def test_the_exporter_reads_the_chain_and_no_key(stack: Project) -> None:
    exporter = container_ids(PROJECT)["blackbox-exporter"]

    def reads(name: str) -> bool:
        path = f"/etc/techsapo/certs/site/{name}"
        return docker("exec", exporter, "cat", path, check=False).returncode == 0

    assert reads("fullchain.pem")
    assert not reads("privkey.pem")


def test_another_probe_makes_its_container_anew_or_restarts_it_and_prometheus_reloads(stack: Project) -> None:
    probes = [{"name": "pages", "url": "http://app:4000/ping", "server_name": "localhost"}]
    stack.write(monitoring={**stack.spec["monitoring"], "probes": probes})
    stack.run("up", "--yes", timeout=200)
    wait_for(lambda: success(stack, "pages") == "1", what="the app itself is asked")
    stack.run("plan")

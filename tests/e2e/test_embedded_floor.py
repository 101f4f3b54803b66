"""Where nothing can be installed: an empty PATH, no other program than Python."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from searched import searching
from servers import free_port, tcp_open


def techsapo(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "techsapo_ops", *arguments],
        cwd=project,
        env={"LANG": "C.UTF-8", **searching("", project / "searched")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, str]]:
    """A project on the embedded floor after `up`: its folder, the app's port, what `up` said."""
    project = tmp_path_factory.mktemp("floor")
    port = free_port()
    (project / "techsapo.yaml").write_text(f"project: floor\napp: {{port: {port}, drain: 0s}}\n")
    try:
        done = techsapo(project, "up", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        yield project, port, done.stdout + done.stderr
    finally:
        down = techsapo(project, "down", "--yes")
        assert down.returncode == 0, down.stdout + down.stderr
        assert not tcp_open(port)


def test_up_names_each_part_that_it_goes_without_and_what_would_bring_it(
    floor: tuple[Path, int, str],
) -> None:
    said = floor[2]
    for part in ("redis", "prometheus", "alertmanager", "grafana", "node-exporter"):
        assert part in said
    assert "doctor --fix" in said
    assert "SQLite" in said


def test_the_app_answers_on_in_process_parts(floor: tuple[Path, int, str]) -> None:
    project, port, _ = floor
    answer = techsapo(project, "ask", "Dockerコンテナが起動しない", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["simulated"] is True
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=60) as response:
        told = response.read().decode()
    assert "in-process" in told
    assert "sqlite" in told.lower()


def test_the_ask_page_and_the_metrics_are_served(floor: tuple[Path, int, str]) -> None:
    _, port, _ = floor
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
        assert "TechSapo" in response.read().decode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        assert "techsapo_build_info" in response.read().decode()


def test_health_is_healthy_and_lists_what_is_absent(floor: tuple[Path, int, str]) -> None:
    done = techsapo(floor[0], "health", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == "healthy"
    assert any(p["status"] == "absent" for p in report["probes"])

"""Shared by all tests: the lab's servers importable as `servers`, and loud skips."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "lab"))

REPOSITORY = Path(__file__).parent.parent

LAB_PARTS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "prometheus-mysqld-exporter": "prometheus-mysqld-exporter",
    "prometheus-nginx-exporter": "prometheus-nginx-exporter",
    "nginx": "nginx",
    "redis-server": "redis-server",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "docker": "docker-cli",
    "docker-compose": "docker-compose",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "logrotate": "logrotate",
    "systemd-analyze": "systemd",
    "node": "nodejs",
    "npm": "npm",
    "chromium": "chromium",
}


def missing_parts() -> dict[str, str]:
    """Executables of the lab that are not here, with the Debian packages that bring them."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return {name: package for name, package in LAB_PARTS.items() if shutil.which(name, path=path) is None}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without their parts lab tests are skipped, with the command that brings them; in CI they fail."""
    missing = missing_parts()
    if not missing or os.environ.get("CI") == "true":
        return
    packages = " ".join(dict.fromkeys(missing.values()))
    for item in items:
        if item.get_closest_marker("lab") or item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.skip(reason=f"missing parts; as root: apt-get install {packages}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A closing block that names each missing part and its command."""
    missing = missing_parts()
    if missing:
        terminalreporter.section("LAB TESTS WERE SKIPPED: parts are missing", red=True, bold=True)
        for name, package in missing.items():
            terminalreporter.write_line(f"{name:28} apt-get install {package}")
        terminalreporter.write_line("as root, `make lab` installs them all")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a skipped test is a failure: a green run has run everything."""
    if os.environ.get("CI") != "true":
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY

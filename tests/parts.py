"""What labs run, and by which Debian package it comes; a test whose part is missing says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from functools import cache

import pytest

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "prometheus-mysqld-exporter": "prometheus-mysqld-exporter",
    "prometheus-nginx-exporter": "prometheus-nginx-exporter",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "nginx": "nginx",
    "pebble": "pebble",
    "pebble-challtestsrv": "pebble",
    "openssl": "openssl",
    "redis-server": "redis-server",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "mariadb-dump": "mariadb-client",
    "mariadb-backup": "mariadb-backup",
    "docker": "docker-cli",
    "docker-compose": "docker-compose",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "logrotate": "logrotate",
    "rsyslogd": "rsyslog",
    "cron": "cron",
    "systemd-analyze": "systemd",
    "node": "nodejs",
    "npm": "npm",
    "chromium": "chromium",
    "zstd": "zstd",
    "restic": "restic",
    "restic-rest-server": "restic-rest-server",
    "sshd": "openssh-server",
    "keepalived": "keepalived",
    "curl": "curl",
}
"""Packages by the executables that labs run."""


def needed_by(item: pytest.Item) -> list[str]:
    """The executables that a test needs.

    A core lab names its own, `pytest.mark.needs("redis-server")`; any other lab needs all of them.
    """
    named = [name for marker in item.iter_markers("needs") for name in marker.args]
    if unknown := set(named) - PACKAGES.keys():
        raise LookupError(f"{item.nodeid} needs {unknown}, of which tests/parts.py names no package")
    whole = item.get_closest_marker("lab") or item.get_closest_marker("e2e")
    return named or (list(PACKAGES) if whole else [])


@cache
def is_here(name: str) -> bool:
    """Whether an executable is installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


def demand(names: Iterable[str], *, ci: bool) -> None:
    """Skip the test where one of these executables is missing; in CI it fails."""
    missing = [name for name in names if not is_here(name)]
    if not missing:
        return
    packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
    reason = f"{', '.join(missing)}: not installed; as root: apt-get install {packages}"
    if ci:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

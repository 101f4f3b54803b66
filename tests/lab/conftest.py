"""Fixtures that several lab tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from backup_lab import backed_up, full_lab, stack_of
from docker_lab import DockerLab, docker_lab
from pool import Pool
from projects import Project
from servers import binary

from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.stack.stack import Stack


@pytest.fixture(scope="session")
def lab_images() -> Iterator[DockerLab]:
    """A Docker daemon and the stand-in images for the whole run."""
    if os.geteuid() != 0:
        pytest.skip("starts a Docker daemon and makes images with debootstrap: needs root")
    with docker_lab() as lab:
        for part, seconds in lab.seconds.items():
            print(f"docker lab: {part} {seconds:.1f} s")
        yield lab


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """What this worker has up for tests that only look."""
    with ExitStack() as everything:
        yield Pool(tmp_path_factory.mktemp("shared"), everything)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, installed by npm into a folder of its own."""
    folder = tmp_path_factory.mktemp("axe-core")
    argv = [binary("npm"), "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        [*argv, "--prefer-offline", "axe-core@4"], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, f"npm could not install axe-core:\n{done.stderr}"
    return Path(folder, "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    """The stack of the labs of backups; those of other things have a `lab` of their own."""
    with full_lab() as made:
        yield made


@pytest.fixture
def stack(lab: Project) -> Stack:
    """The stack of `lab` as backups see it."""
    return stack_of(lab)


@pytest.fixture(scope="module")
def backup(lab: Project) -> Backup:
    """The backup of `lab` that the tests look at; none of them changes it."""
    return backed_up(lab)

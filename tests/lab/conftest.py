"""Fixtures that several lab tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from docker_lab import DockerLab, docker_lab


@pytest.fixture(scope="session")
def lab_images() -> Iterator[DockerLab]:
    """A Docker daemon and the stand-in images for the whole run."""
    if os.geteuid() != 0:
        pytest.skip("starts a Docker daemon and makes images with debootstrap: needs root")
    with docker_lab() as lab:
        for part, seconds in lab.seconds.items():
            print(f"docker lab: {part} {seconds:.1f} s")
        yield lab

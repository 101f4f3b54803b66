"""Volumes of Docker that are removed or emptied under a real stack: nothing takes their place unasked."""

from __future__ import annotations

import os

import pytest
from docker_lab import DockerLab, docker, docker_project
from orchestrator import QUICK
from projects import only_redis

pytestmark = pytest.mark.lab


@pytest.mark.nightly
def test_a_docker_volume_that_is_removed_or_emptied_is_told_and_refused(lab_images: DockerLab) -> None:
    spec = only_redis(project=f"lab-lost-{os.getpid()}", providers=QUICK, schedule={"by": "none"})
    with docker_project(lab_images, spec, "lost") as made:
        volume = f"{spec['project']}_redis"
        made.run("up", timeout=300)
        made.run("down", timeout=120)  # Redis saves
        made.run("up", timeout=120)
        docker("exec", f"{spec['project']}-redis-1", "rm", "/data/dump.rdb")
        assert "Redis's data is gone (" in made.run("plan", code=1).stdout
        made.run("down", timeout=120)  # Redis saves what it still has in memory
        made.run("plan", code=100)
        image = ("--network", "none", "--entrypoint", "rm", lab_images.images["redis"])
        docker("run", "--rm", "-u", "0", "-v", f"{volume}:/data", *image, "/data/dump.rdb")
        assert "Redis's data is gone (" in made.run("up", code=1).stderr, "the volume is there, and empty"
        docker("volume", "rm", volume)
        assert "Redis's data is gone (" in made.run("up", code=1).stderr
        made.run("up", "--empty", "--yes", timeout=120)
        made.run("plan")
        made.run("down", "--volumes", "--yes", timeout=120)
        made.run("plan", code=100)  # nothing is missed

"""Which updates wait for a stack: packages of its programs, and images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.debian import Debian
from fakes.open_stacks import Seen, open_stack
from stacks import THREE_INSTANCES, host, spec, topology

from techsapo_ops.adapters.packages import Packages
from techsapo_ops.operations.updates import image_updates, package_updates
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.stack import Stack

DAY = 86_400


def stack(tmp_path: Path) -> Stack:
    """One with nginx and Redis, whose programs are no real files."""
    binaries = {name: f"/nowhere/{name}" for name in host().binaries}
    wanted = spec(app=THREE_INSTANCES)
    return open_stack(topology(wanted, tmp_path, facts=replace(host(), binaries=binaries)))


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "deb_Packages.lz4").touch()
    return Packages(Debian(), lists, ())


def test_each_package_is_told_with_the_services_that_run_it(tmp_path: Path, packages: Packages) -> None:
    found = package_updates(stack(tmp_path), packages)
    told = {update.pending.package: update.services for update in found.updates}
    assert told == {
        "libssl3t64": ("redis", "nginx"),
        "libc6": ("redis", "nginx"),
        "redis-server": ("redis",),
    }
    assert next(iter(told)) == "libssl3t64", "of security first"
    assert [(each.package, each.security) for each in found.others] == [("curl", True)]


def test_a_program_that_no_package_brought_has_no_updates(tmp_path: Path, packages: Packages) -> None:
    own = Packages(Debian(owners={}), packages.lists, ())
    found = package_updates(stack(tmp_path), own)
    assert found.updates == ()
    assert len(found.others) == 4


def test_lists_are_stale_after_a_week(tmp_path: Path, packages: Packages) -> None:
    found = package_updates(stack(tmp_path), packages)
    assert found.fetched is not None
    assert not found.stale(found.fetched + 6 * DAY)
    assert found.stale(found.fetched + 8 * DAY)
    assert found.age_days(found.fetched + 8.5 * DAY) == 8
    assert found.age_days(found.fetched - 9) == 0, "a clock that was set back"


def test_without_lists_nobody_is_asked(tmp_path: Path) -> None:
    runner = Debian()
    nothing = Packages(runner, tmp_path / "none", ())
    assert package_updates(stack(tmp_path), nothing).fetched is None
    assert runner.calls == []


def test_a_service_that_runs_another_image_than_the_specs_is_named(tmp_path: Path) -> None:
    wanted = spec(engine="compose", images={"redis": "redis:8.2"}, app=THREE_INSTANCES)
    seen = {"redis": "docker.io/library/redis:8.0", "nginx": "nginx:1.28-alpine", "app": "techsapo-app:1-abc"}
    services = [ObservedService(n, n, State.RUNNING, image_name=image) for n, image in seen.items()]
    where = topology(wanted, tmp_path, "compose", host())
    official = {s.name: s.facts.image for s in where.services}
    services[1] = ObservedService("nginx", "nginx", State.RUNNING, image_name=official["nginx"])
    (found,) = image_updates(open_stack(where, Seen(*services)))
    assert (found.service, found.runs, found.wanted) == ("redis", "docker.io/library/redis:8.0", "redis:8.2")

"""Servers of this host that are older than those of a copy, seen before anything is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.recover.servers import too_old
from techsapo_ops.stack.places import EngineName
from techsapo_ops.stack.stack import Stack

DATA = (
    ("mysql", "MariaDB 11.8.3-MariaDB-0+deb13u1"),
    ("redis", "Redis 8.0.2"),
    ("sqlite:app", "SQLite 99.9"),  # not a server's: any of the app's reads it
    ("news", "News 7.1"),
)
SAID = {
    "redis-server": "Redis server v={{}} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=b843bbd074c0e1da",
    "mariadbd": "{}  Ver {{}}-MariaDB-0+deb12u1 from Debian for debian-linux-gnu on x86_64 (Debian 12.1)",
}


class Programs:
    """A Runner of which each program tells its version, as Debian's do."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        path, option = command.argv
        assert option == "--version"
        assert timeout > 0
        name = Path(path).name
        if (version := self.versions[name.replace("-", "_")]) == "broken":
            return Completed(command, 127, b"", b"error while loading shared libraries: libssl.so.1.1")
        if version == "gone":
            raise OpsError(f"no {path} here")
        return Completed(command, 0, SAID[name].format(path).format(version).encode(), b"")


def stack_of(
    tmp_path: Path, engine: EngineName = "native", runner: Programs | None = None, **images: str
) -> Stack:
    topology = topology_of(spec_of(images=images), tmp_path, engine)
    services = topology.services
    if engine == "native":
        programs = {"redis": "/opt/redis-7.9/redis-server", "mysql": "/opt/mariadb-99.1/mariadbd"}
        services = tuple(replace(s, binary=programs.get(s.kind, s.binary)) for s in services)
    return open_stack(replace(topology, services=services), runner=runner)


def test_a_program_that_is_older_than_the_copy_s_is_told_once_with_both_versions(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, runner=Programs(mariadbd="10.11.6", redis_server="7.0.15"))
    assert list(too_old(DATA, stack)) == [
        (
            "mysql was backed up from MariaDB 11.8.3-MariaDB-0+deb13u1, and MariaDB 10.11.6 of this host "
            "is older",
            "update mariadb-server (/opt/mariadb-99.1/mariadbd); or --without mysql",
        ),
        (
            "redis was backed up from Redis 8.0.2, and Redis 7.0.15 of this host is older",
            "update redis-server (/opt/redis-7.9/redis-server); or --without redis",
        ),
    ]


@each_row(
    "programs",
    [
        Programs(mariadbd="11.8.1", redis_server="8.0.0"),  # the third number is of no matter
        Programs(mariadbd="12.0.1", redis_server="8.10.0"),
        Programs(mariadbd="broken", redis_server="gone"),  # what starts it will say so
    ],
    ids=["as new", "newer", "not told"],
)
def test_as_new_newer_and_what_does_not_tell_are_left_alone(tmp_path: Path, programs: Programs) -> None:
    assert list(too_old(DATA, stack_of(tmp_path, runner=programs))) == []


def test_an_image_is_judged_by_its_tag_where_it_is_of_the_well_known_name(tmp_path: Path) -> None:
    (found,) = too_old(DATA, stack_of(tmp_path, "compose", redis="mirror.example:5000/redis:7-alpine"))
    assert found == (
        "redis was backed up from Redis 8.0.2, and Redis 7 of images.redis is older",
        "name a newer image, e.g. --set images.redis=redis:8.0; or --without redis",
    )

"""What waits for an update or a restart, and the commands that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes.debian import Debian
from fakes.open_stacks import Seen, open_stack
from stacks import THREE_INSTANCES, host, spec, topology

from techsapo_ops.adapters.packages import Packages
from techsapo_ops.operations.waiting import Found, look
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.stack import Stack

OLD = "still runs /usr/lib/libssl.so.3 from before an update"


class SeenWith(Seen):
    """As Seen, with what runs beside the services."""

    def observe(self, *, measure: bool = False) -> Observed:
        seen = super().observe(measure=measure)
        return replace(seen, beside={"supervisord": OLD})


def stack(tmp_path: Path, engine: object, **changes: object) -> Stack:
    binaries = {name: f"/nowhere/{name}" for name in (*host().binaries, "apt-get")}
    wanted = spec(app=THREE_INSTANCES, **changes)
    return open_stack(topology(wanted, tmp_path, facts=replace(host(), binaries=binaries)), engine)


def packages(tmp_path: Path, debian: Debian | None = None) -> Packages:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "deb_Packages.lz4").touch()
    return Packages(debian or Debian(), lists, ())


def nothing() -> str:
    return ""


def looked(stack: Stack, asked: Packages) -> Found:
    return look(stack, asked.fetched() or 0.0, asked, nothing)


def commands(found: Found) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(each.kind, each.name): each.commands for each in found.waiting}


def test_each_security_update_says_what_installs_it_and_which_services_then_begin_again(
    tmp_path: Path,
) -> None:
    found = looked(stack(tmp_path, Seen()), packages(tmp_path))
    assert commands(found) == {
        ("package", "libssl3t64"): (
            "apt-get install --only-upgrade libssl3t64", "techsapo restart redis nginx",
        )
    }  # fmt: skip
    assert (found.newer, found.others) == (("libc6", "redis-server"), 1)


def test_what_runs_from_before_an_update_says_by_which_command_it_begins_again(tmp_path: Path) -> None:
    engine = SeenWith(
        ObservedService("redis", "redis", State.RUNNING, replaced=OLD),
        ObservedService("nginx", "nginx", State.RUNNING),
        ObservedService("app-1", "app", State.RUNNING, build="0.1.0+1.2", outdated=True, replaced=OLD),
    )
    asked = Packages(Debian(), tmp_path / "none", ())
    found = look(stack(tmp_path, engine), 0.0, asked, lambda: "runs kernel 1, and 2 is installed")
    assert commands(found) == {
        ("replaced", "redis"): ("techsapo restart redis",),
        ("build", "app-1"): ("techsapo up",),
        ("replaced", "supervisord"): ("techsapo down", "techsapo up"),
        ("kernel", "kernel"): ("reboot",),
    }
    assert found.no_lists

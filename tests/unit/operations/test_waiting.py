"""What waits on a host, and the commands that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes.debian import Debian
from fakes.open_stacks import Seen, open_stack
from stacks import THREE_INSTANCES, host, spec, topology

from techsapo_ops.adapters.packages import Packages
from techsapo_ops.operations.waiting import Waiting, finding, look
from techsapo_ops.stack.diagnosis import Level
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


def test_security_updates_and_restarts_come_with_what_brings_them(tmp_path: Path) -> None:
    engine = SeenWith(
        ObservedService("redis", "redis", State.RUNNING, replaced=OLD),
        ObservedService("nginx", "nginx", State.RUNNING),
        ObservedService("app-1", "app", State.RUNNING, build="0.1.0+1.2", outdated=True, replaced=OLD),
    )
    asked = packages(tmp_path)
    found = look(stack(tmp_path, engine), asked.fetched() or 0.0, asked, lambda: "runs kernel 1 of 2")
    assert found.security == ("curl", "libssl3t64")
    assert found.commands == (
        "apt-get install --only-upgrade curl libssl3t64", "techsapo restart redis", "techsapo up",
        "techsapo down, then techsapo up", "reboot",
    )  # fmt: skip
    told = finding(found)
    assert told.level is Level.WARNING
    assert "redis, app-1, supervisord" in told.detail


def test_lists_that_are_old_or_missing_are_said_to_be(tmp_path: Path) -> None:
    asked = packages(tmp_path, Debian(policy=""))
    fetched = asked.fetched() or 0.0
    assert finding(look(stack(tmp_path, Seen()), fetched, asked, nothing)).level is Level.OK
    assert look(stack(tmp_path, Seen()), fetched + 8 * 86_400 + 1, asked, nothing).stale_days == 8
    never = look(stack(tmp_path, Seen()), 0.0, Packages(Debian(), tmp_path / "none", ()), nothing)
    assert "never fetched" in finding(never).detail


def test_of_many_updates_some_are_named_and_all_are_installed_at_once() -> None:
    many = Waiting(security=tuple(f"lib{n}" for n in range(7)))
    assert finding(many).detail == "security updates: lib0, lib1, lib2, lib3, lib4 and 2 more"
    assert many.commands == ("apt-get upgrade",)

"""What waits for an update or a restart, and the commands that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes.debian import POLICY, Debian
from fakes.open_stacks import Seen, open_stack
from rows import each_row
from stacks import THREE_INSTANCES, host, spec, topology

from techsapo_ops.adapters.packages import Packages
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.waiting import Found, findings, look
from techsapo_ops.stack.diagnosis import Level
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.stack import Stack

DAY = 86_400
OLD = "still runs /usr/lib/libssl.so.3 from before an update"


class SeenWith(Seen):
    """As Seen, with what runs beside the services."""

    def observe(self, *, measure: bool = False) -> Observed:
        seen = super().observe(measure=measure)
        return replace(seen, beside={"supervisord": OLD})


class Silent:
    def observe(self, *, measure: bool = False) -> Observed:
        raise OpsError("Docker does not answer")


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


def test_a_package_that_is_held_is_let_go_of_first(tmp_path: Path) -> None:
    found = looked(stack(tmp_path, Seen()), packages(tmp_path, Debian(held=("libssl3t64",))))
    (waiting,) = found.waiting
    assert waiting.commands[0] == "apt-mark unhold libssl3t64"


def test_a_kernels_update_ends_with_a_reboot_although_no_service_runs_it(tmp_path: Path) -> None:
    asked = packages(tmp_path, Debian(policy=POLICY.replace("curl:", "linux-image-amd64:")))
    found = looked(stack(tmp_path, Seen()), asked)
    kernel = commands(found)["package", "linux-image-amd64"]
    assert kernel == ("apt-get install --only-upgrade linux-image-amd64", "reboot")
    assert found.others == 0


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


def test_a_container_of_another_image_is_made_anew_by_up(tmp_path: Path) -> None:
    changed = ObservedService(
        "redis", "redis", State.RUNNING, image_name="redis:8.0", drift="x", replaced="x"
    )
    where = topology(spec(engine="compose", images={"redis": "redis:8.2"}), tmp_path, "compose", host())
    found = look(open_stack(where, Seen(changed)), 0.0, None, nothing)
    assert commands(found) == {
        ("image", "redis"): ("techsapo up",), ("replaced", "redis"): ("techsapo up",),
    }  # fmt: skip
    assert "runs redis:8.0, and the spec says redis:8.2" in found.waiting[0].detail


def test_what_can_not_be_looked_at_is_said_and_the_rest_is_told(tmp_path: Path) -> None:
    found = looked(stack(tmp_path, Silent()), packages(tmp_path, Debian(fails="apt-cache")))
    assert found.waiting == ()
    assert [why.partition(":")[0] for why in found.unknown] == [
        "newer packages or images could not be looked at", "what runs could not be looked at",
    ]  # fmt: skip
    assert {f.level for f in findings(found)} == {Level.NOTE}


def test_lists_that_are_stale_or_missing_are_said(tmp_path: Path) -> None:
    asked = packages(tmp_path)
    then = (asked.fetched() or 0.0) + 9 * DAY
    told = {f.name: f for f in findings(look(stack(tmp_path, Seen()), then, asked, nothing))}
    assert told["package lists"].detail.startswith("9 days old")
    assert told["package lists"].remedy == "apt-get update"
    none = look(stack(tmp_path, Seen()), then, Packages(Debian(), tmp_path / "none", ()), nothing)
    assert [(f.name, f.remedy) for f in findings(none)] == [("package lists", "apt-get update")]


@each_row("others", [0, 2])
def test_a_host_on_which_nothing_waits_says_so(others: int) -> None:
    told = list(findings(Found(fetched=1.0, others=others)))
    assert told[-1].level is Level.OK
    assert len(told) == (2 if others else 1)

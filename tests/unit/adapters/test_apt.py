"""apt: what it is called with, that policy-rc.d is what it was afterwards, and what its lists say."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.debian import POLICY, Debian
from rows import each_row

from techsapo_ops.adapters.apt import Apt, install_command
from techsapo_ops.adapters.packages import Packages, parsed
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.units import Units
from techsapo_ops.errors import OpsError

QUIET = lambda text: None  # noqa: E731 - a progress that says nothing


@dataclass
class Script:
    """A Runner that notes each call and answers by its first words."""

    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    during: Callable[[], object] = lambda: None
    """Called while packages are installed."""
    calls: list[str] = field(default_factory=list)

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        line = str(command)
        self.calls.append(line)
        if "install" in command.argv:
            self.during()
        for start, (code, text) in self.answers.items():
            if start in line:
                return Completed(command, code, text.encode(), b"")
        return Completed(command, 0, b"", b"")

    def lines(self, word: str) -> list[str]:
        return [call for call in self.calls if word in call]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/deb_Packages.lz4").write_text("")
    (tmp_path / "sbin").mkdir()
    return tmp_path


def apt(place: Path, script: Script, systemctl: str | None = None) -> Apt:
    return Apt(script, Units(script, systemctl, place), place / "sbin/policy-rc.d", place / "lists")


def test_the_install_command_asks_nothing_and_brings_nothing_extra() -> None:
    command = install_command(["nginx", "redis-server"])
    assert command.argv[0] == "apt-get"
    assert command.argv[command.argv.index("install") :] == (
        "install", "--yes", "--no-install-recommends", "--", "nginx", "redis-server",
    )  # fmt: skip
    assert command.env["DEBIAN_FRONTEND"] == "noninteractive"
    assert "--option=Dpkg::Options::=--force-confold" in command.argv


def test_only_what_is_missing_is_installed(place: Path) -> None:
    script = Script({"dpkg-query": (1, "nginx installed\nredis-server config-files\n")})
    done = apt(place, script).install(["nginx", "redis-server", "prometheus"], QUIET)
    assert done.packages == ("redis-server", "prometheus")
    assert script.lines("install --yes")[0].endswith("-- redis-server prometheus")


def test_package_lists_are_fetched_only_when_there_are_none(place: Path) -> None:
    script = Script()
    apt(place, script).install(["nginx"], QUIET)
    assert script.lines(" update") == []
    script = Script()
    (place / "lists/deb_Packages.lz4").unlink()
    apt(place, script).install(["nginx"], QUIET)
    assert [call.split()[-1] for call in script.lines("apt-get")] == ["update", "nginx"]


def test_a_package_that_the_lists_do_not_name_is_tried_again_after_an_update(place: Path) -> None:
    script = Script({"install --yes": (100, "E: Unable to locate package nginx\n")})
    with pytest.raises(OpsError, match="Unable to locate package nginx"):
        apt(place, script).install(["nginx"], QUIET)
    assert len(script.lines(" update")) == 1
    assert len(script.lines("install --yes")) == 2


def test_a_lock_held_by_another_apt_names_its_holder(place: Path) -> None:
    text = (
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\n"
        "E: Unable to acquire the dpkg frontend lock, is another process using it?\n"
    )
    script = Script({"install --yes": (100, text)})
    with pytest.raises(OpsError, match=r"unattended-upgr \(pid 4711\) holds apt's lock") as caught:
        apt(place, script).install(["nginx"], QUIET)
    assert "wait" in caught.value.hint


def test_services_can_not_start_while_packages_are_unpacked(place: Path) -> None:
    seen: list[int] = []
    policy = place / "sbin/policy-rc.d"

    def during() -> None:
        seen.append(stat.S_IMODE(policy.stat().st_mode))
        assert os.system(f"{policy} redis-server start") >> 8 == 101  # noqa: S605 - our own script

    apt(place, Script(during=during)).install(["nginx"], QUIET)
    assert seen == [0o755]
    assert not policy.exists()


def interrupted(trouble: type[BaseException] = KeyboardInterrupt) -> Script:
    def during() -> None:
        raise trouble("stop")

    return Script(during=during)


@each_row("trouble", [KeyboardInterrupt, SystemExit, OpsError])
def test_an_interrupted_installation_leaves_no_policy(place: Path, trouble: type[BaseException]) -> None:
    with pytest.raises(trouble):
        apt(place, interrupted(trouble)).install(["nginx"], QUIET)
    assert list((place / "sbin").iterdir()) == []


def test_a_sigterm_ends_the_installation_like_ctrl_c(place: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    script = Script(during=lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as caught:
        apt(place, script).install(["nginx"], QUIET)
    assert caught.value.code == 143
    assert list((place / "sbin").iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_admin_s_own_policy_comes_back_byte_for_byte(place: Path) -> None:
    policy = place / "sbin/policy-rc.d"
    policy.write_bytes(b"#!/bin/sh\n# ours\xff\nexit 0\n")
    policy.chmod(0o751)
    before = policy.stat()
    with pytest.raises(KeyboardInterrupt):
        apt(place, interrupted()).install(["nginx"], QUIET)
    assert policy.read_bytes() == b"#!/bin/sh\n# ours\xff\nexit 0\n"
    assert policy.stat().st_mode == before.st_mode
    assert policy.stat().st_mtime_ns == before.st_mtime_ns
    assert [p.name for p in (place / "sbin").iterdir()] == ["policy-rc.d"]


def test_a_policy_that_is_a_link_stays_one(place: Path) -> None:
    policy = place / "sbin/policy-rc.d"
    policy.symlink_to("/bin/true")
    apt(place, Script()).install(["nginx"], QUIET)
    assert policy.readlink() == Path("/bin/true")


@each_row("own", [None, b"#!/bin/sh\nexit 104\n"])
def test_what_a_killed_run_left_is_put_right_by_the_next(place: Path, own: bytes | None) -> None:
    policy = place / "sbin/policy-rc.d"
    if own is not None:
        policy.write_bytes(own)

    left: dict[str, bytes] = {}
    script = Script(during=lambda: left.update({p.name: p.read_bytes() for p in (place / "sbin").iterdir()}))
    apt(place, script).install(["nginx"], QUIET)
    for name, content in left.items():
        (place / "sbin" / name).write_bytes(content)
    apt(place, Script()).install(["nginx"], QUIET)
    found = {p.name: p.read_bytes() for p in (place / "sbin").iterdir()}
    assert found == ({"policy-rc.d": own} if own is not None else {})


def test_a_half_configured_package_is_finished_first(place: Path) -> None:
    script = Script({"--audit": (0, "The following packages are only half configured: nginx\n")})
    apt(place, script).install(["nginx"], QUIET)
    assert script.calls.index("dpkg --configure -a") < script.calls.index(script.lines("install --yes")[0])


def test_units_that_the_packages_enabled_are_disabled_and_running_ones_left_alone(place: Path) -> None:
    (place / "run/systemd/system").mkdir(parents=True)
    script = Script({"list-units": (0, "cron.service loaded active running x\n")})
    script.answers["list-unit-files"] = (0, "cron.service enabled enabled\n")
    after = (0, "cron.service enabled enabled\nnginx.service enabled enabled\n")
    script.during = lambda: script.answers.update({"list-unit-files": after})
    done = apt(place, script, "/usr/bin/systemctl").install(["nginx"], QUIET)
    assert done.disabled == ("nginx.service",)
    assert done.left_running == ("cron.service",)
    assert script.lines(" disable") == ["/usr/bin/systemctl disable nginx.service"]
    assert script.lines(" stop") == []


def test_without_a_running_systemd_units_are_disabled_by_their_files(place: Path) -> None:
    script = Script({"list-unit-files": (0, "a.service enabled enabled\n")})
    units = Units(script, "/usr/bin/systemctl", place)
    assert not units.live
    assert units.running() == frozenset()
    units.disable(units.enabled())
    assert script.lines("disable") == [f"/usr/bin/systemctl --root={place} disable a.service"]


def test_packages_with_a_version_of_security_on_the_way_are_told() -> None:
    assert parsed(POLICY) == ("curl", "libssl3t64"), "a later point release took the update of libssl3t64 in"


def test_an_apt_that_fails_is_told_in_its_first_words() -> None:
    with pytest.raises(OpsError, match=r"`apt-cache` failed: E: The package cache file is corrupted$"):
        Packages(Debian(fails="apt-cache")).security_updates()

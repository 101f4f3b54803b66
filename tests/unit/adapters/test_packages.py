"""What apt's lists say of newer packages: recorded answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes.debian import ODD_POLICY, POLICY, Debian

from techsapo_ops.adapters.packages import Packages, parsed
from techsapo_ops.errors import OpsError


def test_newer_packages_are_told_with_those_of_security_on_the_way() -> None:
    told = {each.package: each for each in parsed(POLICY, {"libc6"})}
    assert list(told) == ["curl", "libc6", "libssl3t64", "redis-server"]
    assert {name for name, each in told.items() if each.security} == {"curl", "libssl3t64"}, (
        "a later point release took the update of libssl3t64 in"
    )
    assert {name for name, each in told.items() if each.held} == {"libc6"}
    assert (told["curl"].installed, told["curl"].candidate) == ("8.14.1-2+deb13u4", "8.14.1-2+deb13u7")


def test_pins_foreign_archives_and_phased_updates_are_understood() -> None:
    assert [(each.package, each.security) for each in parsed(ODD_POLICY)] == [
        ("own", False),
        ("phased", True),
    ]


def test_what_is_removed_but_for_its_configuration_is_not_asked_for() -> None:
    host = Debian(held=("curl",))
    assert {each.package for each in Packages(host).pending() if each.held} == {"curl"}
    assert "left" not in host.calls[-1].argv


def test_files_are_led_to_their_packages_by_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "nginx").touch()
    (tmp_path / "link").symlink_to("nginx")
    files = [str(tmp_path / "link"), str(tmp_path / "own")]
    assert Packages(Debian()).owners(files) == {files[0]: "nginx"}


def test_the_lists_are_of_when_they_were_fetched_last(tmp_path: Path) -> None:
    stamp, lists = tmp_path / "update-stamp", tmp_path / "lists"
    packages = Packages(Debian(), lists, (stamp, tmp_path / "absent"))
    assert packages.fetched() is None
    lists.mkdir()
    assert packages.fetched() is None, "an empty folder is no list"
    (lists / "deb_Packages.lz4").touch()
    os.utime(lists, (1000, 1000))
    assert packages.fetched() == 1000
    stamp.touch()
    os.utime(stamp, (2000, 2000))
    assert packages.fetched() == 2000


def test_an_apt_that_fails_is_told_in_its_first_words() -> None:
    with pytest.raises(OpsError, match=r"`apt-cache` failed: E: The package cache file is corrupted$"):
        Packages(Debian(fails="apt-cache")).pending()

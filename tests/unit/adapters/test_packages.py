"""What apt's lists say of newer packages: recorded answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.debian import POLICY, Debian

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


def test_files_are_led_to_their_packages_by_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "nginx").touch()
    (tmp_path / "link").symlink_to("nginx")
    files = [str(tmp_path / "link"), str(tmp_path / "own")]
    assert Packages(Debian()).owners(files) == {files[0]: "nginx"}


def test_an_apt_that_fails_is_told_in_its_first_words() -> None:
    with pytest.raises(OpsError, match=r"`apt-cache` failed: E: The package cache file is corrupted$"):
        Packages(Debian(fails="apt-cache")).pending()

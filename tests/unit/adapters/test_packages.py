"""What apt's lists say of newer packages: recorded answers."""

from __future__ import annotations

import pytest
from fakes.debian import POLICY, Debian

from techsapo_ops.adapters.packages import Packages, parsed
from techsapo_ops.errors import OpsError


def test_packages_with_a_version_of_security_on_the_way_are_told() -> None:
    assert parsed(POLICY) == ("curl", "libssl3t64"), "a later point release took the update of libssl3t64 in"


def test_an_apt_that_fails_is_told_in_its_first_words() -> None:
    with pytest.raises(OpsError, match=r"`apt-cache` failed: E: The package cache file is corrupted$"):
        Packages(Debian(fails="apt-cache")).security_updates()

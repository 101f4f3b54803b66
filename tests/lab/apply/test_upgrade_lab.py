"""A native stack of an earlier version, brought up by this one, and back: see upgrade_promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from upgrade_engines import native_stack
from upgrade_lab import Stack
from upgrade_promises import Promises, whole

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with native_stack(tmp_path_factory.mktemp("upgrade")) as made:
        yield made


@pytest.fixture(scope="module")
def upgraded(stack: Stack) -> str:
    return stack.upgrade()


@pytest.fixture(scope="module")
def back(stack: Stack, upgraded: str) -> str:
    return stack.go_back()


@pytest.fixture(scope="module")
def forward(stack: Stack, back: str) -> str:
    return stack.go_forward()


class TestNativeEngine(Promises):
    """What holds for both engines, and what is the same code on both."""

    def test_the_earlier_version_restores_the_backup_of_this_one_on_trial(
        self, stack: Stack, back: str
    ) -> None:
        whole(stack.json("backup", "verify", stack.newer_backup, "--deep"))

    def test_this_version_comes_up_again_on_what_the_earlier_one_wrote_meanwhile(
        self, stack: Stack, forward: str
    ) -> None:
        assert stack.lost() == {}
        assert stack.outdated() == []
        assert stack.statuses(stack.key) == {200}
        assert "alertmanager: runs, although it was stopped by" in forward

    def test_a_backup_that_the_earlier_version_made_meanwhile_counts_once_somebody_vouches_for_it(
        self, stack: Stack, forward: str
    ) -> None:
        refused = stack.json("backup", "verify", stack.backup_meanwhile, code=1)
        assert refused["authentication"] == "tampered", "it has no MAC, and the key was there"
        stack.project.run("backup", "accept", stack.backup_meanwhile)
        assert stack.json("backup", "verify", stack.backup_meanwhile)["ok"] is True

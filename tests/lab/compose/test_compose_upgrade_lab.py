"""A stack of an earlier version, in containers, brought up by this one, and back: see upgrade_promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docker_lab import DockerLab
from upgrade_engines import container_stack
from upgrade_lab import Stack
from upgrade_promises import Promises

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with container_stack(lab_images, tmp_path_factory.mktemp("upgrade")) as made:
        yield made


@pytest.fixture(scope="module")
def upgraded(stack: Stack) -> str:
    return stack.upgrade()


@pytest.fixture(scope="module")
def back(stack: Stack, upgraded: str) -> str:
    return stack.go_back()


class TestComposeEngine(Promises):
    """What holds for both engines, here."""

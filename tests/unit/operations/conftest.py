"""What tests of the operations share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.letters import with_letters
from fakes.memory_project import MemoryProject
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.stack.stack import Stack


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    return MemoryProject(tmp_path)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MemoryProject]:
    """A stack in memory that runs, and has letters to back up."""
    with with_letters(tmp_path / "project") as project:
        yield project


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack with its monitoring, on an engine that says that nothing runs."""
    return open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())

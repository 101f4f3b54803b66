"""A stack that is lost with its host, and comes back from a repository on another one.

With little data; `make recovery-lab` does the same with much, on both engines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from quick_key import quick_repository
from servers import free_port

from tests.recovery.cells import Cell, empty_folder, recovered
from tests.recovery.hosts import Wire, new_host, wire
from tests.recovery.places import PASSWORD, Place, sftp
from tests.recovery.stack import SMALL, copied_away, lost_stack

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes hosts with a network of their own: needs root"),
]


@dataclass(frozen=True)
class Lost:
    """What is left of the stack: its repository, and the facts that were."""

    place: Place
    facts: dict[str, str]
    moment: float
    wire: Wire


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    folder: Path = tmp_path_factory.mktemp("lost")
    with wire() as on, ExitStack() as parts:
        place = parts.enter_context(sftp(folder / "sshd", on.address))
        quick_repository(folder / "sshd" / "away", PASSWORD)
        service = parts.enter_context(lost_stack(SMALL, folder / "stack", None))
        copied_away(service, [place])
        facts = service.facts()
        service.wipe()
        yield Lost(place, facts, service.moment, on)


def test_every_fact_is_equal_on_a_host_that_had_nothing_on_other_ports_and_after_a_kill(lost: Lost) -> None:
    paths = ("app.port", "redis.port", "nginx.listen", "nginx.tls_listen")
    words = tuple(word for path in paths for word in ("--set", f"{path}={free_port()}"))
    cell = Cell(lost.place.name, lost.place, words, killed_in="restore")
    with new_host(lost.wire) as host, empty_folder() as folder:
        found, service = recovered(cell, host, folder, lost.facts, SMALL, moment=lost.moment, then_up=False)
        service.wipe()
    assert found.differs == {}
    assert {"samples", "dashboards", "served"} <= lost.facts.keys()
    assert found.remaining == ()
    assert found.seconds

"""A stack that is lost with its host, and comes back from each kind of repository on another one.

With little data; `make recovery-lab` does the same with much, on both engines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from rows import each_row
from servers import free_port

from tests.recovery.cells import Cell, empty_folder, recovered
from tests.recovery.hosts import Wire, new_host, wire
from tests.recovery.places import PLACES, Place
from tests.recovery.stack import SMALL, copied_away, lost_stack

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes hosts with a network of their own: needs root"),
]


@dataclass(frozen=True)
class Lost:
    """What is left of the stack: the repositories by name, and the facts that were."""

    places: dict[str, Place]
    facts: dict[str, str]
    moment: float
    wire: Wire


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    folder: Path = tmp_path_factory.mktemp("lost")
    with wire() as on, ExitStack() as parts:
        places = [parts.enter_context(make(folder / make.__name__, on.address)) for make in PLACES]
        service = parts.enter_context(lost_stack(SMALL, folder / "stack", None))
        copied_away(service, places)
        facts = service.facts()
        service.wipe()
        yield Lost({place.name: place for place in places}, facts, service.moment, on)


@each_row(
    "place, killed_in, moved",
    [("S3", "", False), ("SFTP", "", True), ("REST", "restore", False)],
    ids=["out of S3", "out of SFTP, on other ports", "out of REST, after a kill within the restore"],
)
def test_every_fact_is_equal_on_a_host_that_had_nothing(
    lost: Lost, place: str, killed_in: str, moved: bool
) -> None:
    paths = ("app.port", "redis.port", "nginx.listen", "nginx.tls_listen") if moved else ()
    words = tuple(word for path in paths for word in ("--set", f"{path}={free_port()}"))
    cell = Cell(place, lost.places[place], words, killed_in=killed_in)
    with new_host(lost.wire) as host, empty_folder() as folder:
        found, service = recovered(cell, host, folder, lost.facts, SMALL, moment=lost.moment, then_up=False)
        service.wipe()
    assert found.differs == {}
    assert {"samples", "dashboards", "served"} <= lost.facts.keys()
    assert found.remaining == ()
    assert found.seconds

"""The house keeps its order: what is counted in the package may only come nearer to its goal."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from rows import each_row

from tests.house.ratchets import COUNTERS, limits
from tests.house.source import package


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Millions of nodes, none of them garbage: without a look through them again and again."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@each_row("name", COUNTERS)
def test_a_count_is_at_its_ceiling(name: str) -> None:
    limit, found = limits()[name], list(COUNTERS[name](package()))
    said = (COUNTERS[name].__doc__ or "").partition("\n")[0]
    listed = "\n".join(map(str, found))
    assert len(found) <= limit.ceiling, f"{len(found)}, at most {limit.ceiling} are allowed: {said}\n{listed}"
    assert max(len(found), limit.goal) == limit.ceiling, (
        f"only {len(found)} are left of {limit.ceiling}: `python -m tests.house --lower` notes it\n{listed}"
    )


def test_every_limit_is_of_a_counter_and_no_ceiling_is_below_its_goal() -> None:
    assert set(limits()) == set(COUNTERS)
    assert [name for name, limit in limits().items() if limit.ceiling < limit.goal] == []

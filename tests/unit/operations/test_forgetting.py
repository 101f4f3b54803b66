"""The ledger forgets a secret that was changed, and says so where somebody would go back to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject
from fakes.notified import notified

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.difference import difference
from techsapo_ops.operations.apply.ledger import SECRETS_KEPT

OLD, NEW = "0ld-redis-word", "n3w-redis-word"
RAW = "r4w-routing-key"


def receivers(key: str) -> dict[str, Any]:
    config = {"pagerduty_configs": [{"routing_key": key}]}
    return notified({"critical": [{"kind": "alertmanager", "config": config}]})


def holding(state: Path, word: str) -> list[str]:
    """The files below the state directory that hold `word`."""
    return [
        str(p.relative_to(state)) for p in state.rglob("*") if p.is_file() and word.encode() in p.read_bytes()
    ]


@pytest.fixture
def made(tmp_path: Path) -> MemoryProject:
    made = MemoryProject(tmp_path)
    made.up(sections={"redis": {"password": OLD}, "notifications": receivers(RAW)})
    return made


def changed(made: MemoryProject, times: int, **sections: Any) -> None:
    """That many further applies, each with something else."""
    for n in range(times):
        made.up(sections={"redis": {"password": NEW, "maxmemory": f"{100 + n}M"}, **sections})


def test_a_changed_secret_is_nowhere_below_the_state_directory_after_as_many_states_as_keep_theirs(
    made: MemoryProject,
) -> None:
    state = made.folder / ".techsapo"
    assert holding(state, OLD)
    assert holding(state, RAW)
    changed(made, SECRETS_KEPT - 1)
    assert holding(state, OLD), "it can still be gone back to"
    changed(made, SECRETS_KEPT, notifications={})
    assert holding(state, OLD) == []
    assert holding(state, RAW) == []
    assert holding(state, NEW)


def test_an_apply_whose_secrets_are_gone_is_listed_and_declined(made: MemoryProject) -> None:
    changed(made, 2 * SECRETS_KEPT)
    first = made.ledger.entries()[0]
    assert first.id == 1
    with pytest.raises(OpsError, match="@1 had other secrets than now"):
        difference(made.history, "@1")
    with pytest.raises(OpsError, match="@1 had other secrets than now"):
        made.rollback("@1")


def test_an_older_apply_with_the_same_secrets_can_be_gone_back_to(made: MemoryProject) -> None:
    changed(made, 1)
    changed(made, 3 * SECRETS_KEPT, locale="en")
    report = made.rollback("@2")
    assert report is not None
    assert report.applied.entry is not None
    assert report.applied.entry.restores == 2


def test_the_states_that_a_second_roll_back_goes_to_keep_their_secrets(made: MemoryProject) -> None:
    made.up(sections={"redis": {"password": "tw0-redis-word"}})
    made.up(sections={"redis": {"password": "thr33-redis-word"}})
    made.rollback()
    made.rollback()
    assert "0ld-redis-word" in (made.config / "redis/redis.conf").read_text()

"""The ledger: what is kept, found, forgotten and never shown."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject
from fakes.notified import notified
from rows import each_row
from stacks import EVERYTHING, spec, topology

from techsapo_ops.apply import ledger as ledgers
from techsapo_ops.apply.changes import difference
from techsapo_ops.apply.history import FILES, SERVICES, apply_journal, record_interrupted
from techsapo_ops.apply.ledger import STATES_WITH_SECRETS, Ledger
from techsapo_ops.apply.ledger_entry import Done, LedgerEntry
from techsapo_ops.apply.plan import desired_state
from techsapo_ops.apply.snapshot import Snapshot, spec_hash
from techsapo_ops.errors import OpsError
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.layout import Layout

BASE = LedgerEntry(
    id=1,
    time=datetime(2026, 1, 31, tzinfo=UTC),
    user="alice",
    command="up",
    version="1",
    engine="native",
    environment=None,
    spec_hash="",
    state="",
    identity="a",
    result="ok",
)


OFF = {"enabled": False}
SMALL: dict[str, Any] = {"monitoring": dict.fromkeys(("prometheus", "alertmanager", "grafana"), OFF)}
"""Without the files of the monitoring, most of what a whole stack takes to be rendered."""


def snapshot(folder: Path, engine: Any = "native", **sections: Any) -> Snapshot:
    model = spec(**(sections or SMALL))
    return Snapshot(desired_state(topology(model, folder, engine), Templates(None)), model)


@each_row("engine", ["native", "compose"])
def test_a_state_comes_back_whole_without_spec_or_templates(tmp_path: Path, engine: Any) -> None:
    made, ledger = snapshot(tmp_path, engine, **EVERYTHING), Ledger(tmp_path)
    entry = replace(BASE, state=ledger.save_state(made))
    found = ledger.load_state(entry)
    assert found.desired == made.desired
    assert found.identity == made.identity
    assert found.spec.redis.password.reveal() == "redis-secret"


@each_row("engine", ["native", "compose"])
def test_headers_of_a_provider_come_back_and_stand_in_no_file_but_their_own(
    tmp_path: Path, engine: Any
) -> None:
    headed = {
        "kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1/v1",
        "headers": {"X-Org": "org-s3cret", "api-key": "key-s3cret"}, "extra_body": {"user": "${literal"},
    }  # fmt: skip
    made = snapshot(tmp_path, engine, **SMALL, providers={"a": headed, "b": headed})
    ledger = Ledger(tmp_path)
    found = ledger.load_state(replace(BASE, state=ledger.save_state(made)))
    assert found.desired == made.desired
    assert found.spec.providers["a"] == made.spec.providers["a"]
    holding = [file for file in made.desired.files if "s3cret" in file.content]
    assert {file.content for file in holding} == {"org-s3cret", "key-s3cret"}
    assert all(file.secret and file.mode == 0o600 and file.owner == "app" for file in holding)
    (told,) = [file for file in made.desired.files if file.path == "app/techsapo.yaml"]
    assert "X-Org_file: " in told.content
    assert "api-key_file: " in told.content


def test_everything_in_the_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(replace(BASE, state=ledger.save_state(snapshot(tmp_path))))
    kinds = {p.stat().st_mode & 0o777 for p in ledger.folder.rglob("*") if p.is_file()}
    assert kinds == {0o600}
    assert ledger.folder.stat().st_mode & 0o777 == 0o700


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    step = Done("reload", "prometheus", "rules changed", 0.1, "it refused")
    entry = replace(BASE, files=(("a", "changed"),), steps=(step,), images={"app": "sha256:1"}, restores=1)
    ledger = Ledger(tmp_path)
    ledger.record(entry)
    assert ledger.entries() == (entry,)


def test_the_hash_of_a_spec_tells_nothing_of_its_secrets() -> None:
    assert spec_hash(spec(redis={"password": "one"})) == spec_hash(spec(redis={"password": "two"}))
    assert spec_hash(spec(locale="en")) != spec_hash(spec(locale="ja"))


def recorded(tmp_path: Path, *entries: LedgerEntry) -> Ledger:
    ledger = Ledger(tmp_path)
    for entry in entries:
        ledger.record(entry)
    return ledger


def test_an_apply_that_made_no_difference_is_no_place_to_go_back_to(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, BASE, replace(BASE, id=2, identity="b"), replace(BASE, id=3, identity="b"))
    before = ledger.before(ledger.entries()[-1])
    assert before.id == 1


def test_the_current_state_is_the_last_good_one(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, BASE, replace(BASE, id=2, result="rolled-back", back_to=1))
    assert ledger.current() == BASE
    assert ledger.next_id() == 3


def test_a_damaged_entry_is_passed_over_and_its_number_not_given_again(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, BASE)
    (ledger.folder / "000002.json").write_text("{")
    assert ledger.entries() == (BASE,)
    assert [p.name for p in ledger.damaged()] == ["000002.json"]
    assert ledger.next_id() == 3


def test_a_damaged_object_is_told_and_not_used(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    digest = ledger.keep(b"content")
    (ledger.folder / "objects" / digest).write_bytes(b"other")
    with pytest.raises(OpsError, match="damaged"):
        ledger.content(digest)
    with pytest.raises(OpsError, match="missing from the ledger"):
        ledger.content("0" * 64)


def test_the_oldest_are_forgotten_with_their_contents_but_never_the_last_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "MAX_ENTRIES", 3)
    ledger = Ledger(tmp_path)
    gone = replace(BASE, id=1, state=ledger.save_state(snapshot(tmp_path, **SMALL, locale="en")))
    recorded(tmp_path, gone)
    good = replace(BASE, id=2, state=ledger.save_state(snapshot(tmp_path, **SMALL, locale="ja")))
    recorded(tmp_path, good, *(replace(good, id=n, result="failed") for n in range(3, 8)))
    assert [e.id for e in ledger.entries()] == [2, 5, 6, 7]
    assert ledger.load_state(good).identity
    with pytest.raises(OpsError, match="missing from the ledger"):
        ledger.load_state(gone)


def test_an_interrupted_apply_is_recorded_once_with_how_far_it_got(tmp_path: Path) -> None:
    ledger, layout = Ledger(tmp_path), Layout(tmp_path, tmp_path / "generated")
    journal = apply_journal(layout)
    journal.begin(BASE)
    journal.reach(FILES)
    journal.reach(SERVICES)
    journal.done("redis", 0.5)
    last = BASE.time.timestamp() + 3.5
    os.utime(journal.path, (last, last))
    found = record_interrupted(layout)
    assert found.seconds == pytest.approx(3.5), "until its last sign"
    assert (found.result, found.reason) == ("failed", "interrupted while services were changed (done: redis)")
    assert ledger.entries() == (found,)
    assert record_interrupted(layout) is None


def test_an_apply_that_is_recorded_already_is_not_recorded_as_interrupted(tmp_path: Path) -> None:
    ledger, layout = Ledger(tmp_path), Layout(tmp_path, tmp_path / "generated")
    apply_journal(layout).begin(BASE)
    ledger.record(BASE)
    assert record_interrupted(layout) is None
    assert ledger.entries() == (BASE,)


def test_a_journal_that_cannot_be_read_does_not_stand_in_the_way(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "generated")
    journal = apply_journal(layout)
    journal.begin(BASE)
    journal.path.write_text("[]")
    assert record_interrupted(layout) is None
    assert not journal.path.exists()


def test_an_entry_that_restores_itself_is_no_way_back_and_no_endless_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first, second = replace(BASE, id=1, identity="a"), replace(BASE, id=2, identity="b", restores=2)
    for entry in (first, second):
        ledger.record(entry)
    assert ledger.before(second) == first


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
    changed(made, STATES_WITH_SECRETS - 1)
    assert holding(state, OLD), "it can still be gone back to"
    changed(made, STATES_WITH_SECRETS, notifications={})
    assert holding(state, OLD) == []
    assert holding(state, RAW) == []
    assert holding(state, NEW)


def test_an_apply_whose_secrets_are_gone_is_listed_and_declined(made: MemoryProject) -> None:
    changed(made, 2 * STATES_WITH_SECRETS)
    first = made.ledger.entries()[0]
    assert first.id == 1
    with pytest.raises(OpsError, match="secrets have changed since apply @1"):
        difference(made.history, "@1")
    with pytest.raises(OpsError, match="secrets have changed since apply @1"):
        made.rollback("@1")


def test_an_older_apply_with_the_same_secrets_can_be_gone_back_to(made: MemoryProject) -> None:
    changed(made, 1)
    changed(made, 3 * STATES_WITH_SECRETS, locale="en")
    report = made.rollback("@2")
    assert report.applied.entry.restores == 2


def test_the_states_that_a_second_roll_back_goes_to_keep_their_secrets(made: MemoryProject) -> None:
    made.up(sections={"redis": {"password": "tw0-redis-word"}})
    made.up(sections={"redis": {"password": "thr33-redis-word"}})
    made.rollback()
    made.rollback()
    assert "0ld-redis-word" in (made.config / "redis/redis.conf").read_text()

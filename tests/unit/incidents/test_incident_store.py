"""Incidents in the audit database's file: what is kept, and several who write at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from techsapo_ops.incidents.alert import Listener, ReportedAlert
from techsapo_ops.incidents.incident import over, updated
from techsapo_ops.services import sqlite_tool
from techsapo_ops.stores.audit import shared_tables as tables_module
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.incidents.rows import (
    COLUMN,
    LONGEST_TEXT,
    MOST_ENTRIES,
    Change,
    Entry,
    Event,
    Incident,
    State,
)
from techsapo_ops.stores.incidents.store import (
    IncidentStore,
    alerts_table,
    entries_table,
    events_table,
    incidents_table,
    open_ones,
    related_to,
    waiting,
)

NOW = datetime(2026, 12, 2, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def alert(name: str, until: datetime | None = None, **labels: str) -> ReportedAlert:
    return Listener().reported({"alertname": name, **labels}, {"summary": "遅い"}, NOW, until, "")


def report(store: IncidentStore, *alerts: ReportedAlert, now: datetime = NOW) -> Sequence[Change]:
    read = related_to((each.fingerprint for each in alerts), now - HOUR)
    return store.change(read, lambda state: updated(state, alerts, now, HOUR, lambda a: a.pages)[0])


@pytest.fixture
def store(tmp_path: Path) -> IncidentStore:
    return IncidentStore(None, tmp_path / "audit.sqlite")


def test_what_is_kept_is_read_as_it_was(store: IncidentStore) -> None:
    report(store, alert("Slow", service="shop", host="a", page="true"))
    (incident,) = store.incidents(limit=5)
    assert incident == Incident(
        1, NOW, "遅い", True, frozenset({"service:shop", "host:a"}), version=1, alerts=1, firing=1, entries=1,
        investigation="due",
    )  # fmt: skip
    (kept,) = store.alerts(1)
    assert (kept.labels["service"], kept.summary, kept.began, kept.ended) == ("shop", "遅い", NOW, None)
    assert store.entries(1) == (Entry(NOW, "opened", '{"count": 1, "alerts": {"Slow": 1}}', "", 1),)
    assert store.incidents(waiting(NOW), limit=5) == (incident,)
    report(store, alert("Slow", until=NOW, service="shop", host="a", page="true"))
    later = NOW + timedelta(minutes=10)
    store.change(open_ones, lambda state: over(state, later))
    assert store.incidents(incidents_table().c.ended.is_(None), limit=5) == ()
    assert [entry.kind for entry in store.entries(1)] == ["opened", "ended", "closed"]


def test_who_is_forestalled_decides_anew_and_joins_what_the_other_opened(
    store: IncidentStore, tmp_path: Path
) -> None:
    other = IncidentStore(None, tmp_path / "audit.sqlite")
    same, seen = alert("Slow", service="shop"), list[State]()

    def decide(state: State) -> tuple[Change, ...]:
        seen.append(state)
        if len(seen) == 1:
            report(other, same)
        return updated(state, [same], NOW, HOUR, lambda _: False)[0]

    store.change(related_to([same.fingerprint], NOW - HOUR), decide)
    assert [state.last for state in seen] == [0, 1]
    assert [(i.number, i.alerts) for i in store.incidents(limit=5)] == [(1, 1)]


def test_alerts_from_two_instances_at_once_are_one_incident_a_group(
    store: IncidentStore, tmp_path: Path
) -> None:
    other = IncidentStore(None, tmp_path / "audit.sqlite")
    groups = [[alert("Slow", service=f"s{g}", pod=str(n)) for n in range(20)] for g in range(5)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: report(one[0], *one[1]), [(s, g) for g in groups for s in (store, other)]))
    incidents = store.incidents(limit=50)
    assert [i.number for i in incidents] == list(range(5, 0, -1))
    assert {(i.alerts, i.firing) for i in incidents} == {(20, 20)}
    assert len({i.subjects for i in incidents}) == 5


def test_a_lease_is_renewed_by_its_holder_alone_and_found_when_it_is_over(store: IncidentStore) -> None:
    report(store, alert("Slow", service="shop", page="true"))

    def take(incident: Incident) -> Change:
        return Change(replace(incident, investigation="running", worker="app-1", lease=NOW))

    store.alter(1, take)
    assert store.renew(1, "app-1", NOW + HOUR)
    assert not store.renew(1, "app-2", NOW + 2 * HOUR)
    assert store.incidents(waiting(NOW + HOUR), limit=5) == ()
    assert len(store.incidents(waiting(NOW + 2 * HOUR), limit=5)) == 1


def test_a_time_line_takes_no_more_of_what_has_no_end_and_texts_no_longer_than_their_column(
    store: IncidentStore,
) -> None:
    report(store, alert("Slow", service="shop"))

    def many(incident: Incident) -> Change:
        entries = [Entry(NOW, "checked", "x" * (LONGEST_TEXT + 1), "me") for _ in range(2)]
        return Change(incident, entries=(*entries, Entry(NOW, "resolved", "a cause")))

    store.alter(1, many)
    kept = store.entries(1)
    assert [len(entry.text) for entry in kept[1:3]] == [LONGEST_TEXT] * 2
    store.alter(1, lambda i: Change(i, entries=tuple(Entry(NOW, "struck") for _ in range(MOST_ENTRIES))))
    store.alter(1, many)
    kept = store.entries(1)
    assert len(kept) == 4 + MOST_ENTRIES + 1
    assert (kept[-1].kind, kept[-1].number) == ("resolved", len(kept))
    incident = store.alter(1, lambda i: Change(replace(i, title="t" * 999, cause="c" * 999)))
    assert incident is not None
    assert (len(incident.title), len(incident.cause or "")) == (300, 500)
    assert store.alter(2, many) is None


def test_events_are_read_by_time_and_service(store: IncidentStore) -> None:
    for n, service in enumerate(("shop", "", "shop")):
        at = NOW + timedelta(minutes=n)
        store.add_event(Event(f"{n:032}", at, NOW, f"deployed v{n}", service, author="ci"))
    assert [e.text for e in store.events(NOW, NOW + HOUR, 5)] == ["deployed v2", "deployed v1", "deployed v0"]
    assert [e.text for e in store.events(NOW, NOW + HOUR, 1)] == ["deployed v2"]
    assert store.events(NOW + HOUR, NOW + 2 * HOUR, 5) == ()


def test_a_database_that_is_away_or_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "audit.sqlite").write_bytes(b"no database at all, but longer than its head" * 9)
    with pytest.raises(Away, match="not a database"):
        IncidentStore(None, tmp_path / "audit.sqlite").incidents(limit=1)
    with pytest.raises(Away, match="No such file"):
        IncidentStore(None, tmp_path / "away" / "audit.sqlite").incidents(limit=1)


def test_who_is_forestalled_each_time_gives_up(
    store: IncidentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "_TRIES", 3)
    other = IncidentStore(None, tmp_path / "audit.sqlite")
    report(store, alert("Slow", service="shop"))

    def forestalled(incident: Incident) -> Change:
        other.alter(1, lambda i: Change(i))
        return Change(incident)

    with pytest.raises(Away, match="all the time"):
        store.alter(1, forestalled)


def test_the_columns_are_those_of_the_migration(store: IncidentStore, tmp_path: Path) -> None:
    store.incidents(limit=1)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'audit.sqlite'}")
    tables = (incidents_table(), alerts_table(), entries_table(), events_table())
    for table in tables:
        made: dict[str, Any] = {c["name"]: c["type"] for c in sa.inspect(engine).get_columns(table.name)}
        assert set(made) == {column.name for column in table.columns}
        cut = set(COLUMN) - ({"text"} if table.name == "incident_entries" else set())
        lengths = {name: kind.length for name, kind in made.items() if name in cut and kind.length}
        assert lengths == {name: COLUMN[name] for name in lengths}
    engine.dispose()


def test_a_backup_of_the_audit_log_has_the_incidents_and_events(store: IncidentStore, tmp_path: Path) -> None:
    report(store, alert("Slow", service="shop"))
    store.add_event(Event("e" * 32, NOW, NOW, "deployed shop", "shop"))
    text = Path(sqlite_tool.__file__).read_text()
    argv = [sys.executable, "-I", "-c", text, "take", "audit.sqlite"]
    taken = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout
    head, _, content = taken.partition(b"\n")
    rows = {name: table["rows"] for name, table in json.loads(head)["tables"].items()}
    assert [rows[t.name] for t in (incidents_table(), alerts_table(), entries_table(), events_table())] == [
        1
    ] * 4
    (tmp_path / "back.sqlite").write_bytes(content)
    back = IncidentStore(None, tmp_path / "back.sqlite")
    assert (back.incidents(limit=5), back.entries(1)) == (store.incidents(limit=5), store.entries(1))

"""The schema of a cluster's members, which get ready side by side while one copies its data for another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes.three_hosts import of

from techsapo_ops.apply import audit_database
from techsapo_ops.apply.audit_database import AuditDatabase
from techsapo_ops.services.mysql.session import Passing


def test_members_are_brought_up_to_date_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most = [0], [0]

    def bring(*_: object) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        inside[0] -= 1

    monkeypatch.setattr(audit_database, "_bring", bring)
    where, database = of(tmp_path), AuditDatabase(None)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: database.ready(None, where, f"mysql-{name}"), "abc"))
    assert most == [1]


def test_members_that_are_busy_with_each_other_are_asked_again_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [0]

    def bring(*_: object) -> None:
        asked[0] += 1
        if asked[0] < 3:
            raise Passing("Lock wait timeout exceeded")

    monkeypatch.setattr(audit_database, "_bring", bring)
    monkeypatch.setattr(audit_database, "_PAUSE", 0.01)
    database = AuditDatabase(None)
    database.ready(None, of(tmp_path), "mysql-a")
    assert asked == [3]

    monkeypatch.setattr(audit_database, "_PATIENCE", 0.05)
    asked[0] = -10_000
    with pytest.raises(Passing):
        database.ready(None, of(tmp_path), "mysql-a")
    asked[0] = 2
    database.ready(None, of(tmp_path), "mysql-b")

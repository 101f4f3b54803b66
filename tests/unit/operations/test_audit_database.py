"""The schema of a cluster's members, which get ready side by side while one copies its data for another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from stacks import EVERYTHING, spec, topology

from techsapo_ops.adapters.process import Runner
from techsapo_ops.operations import audit_database
from techsapo_ops.operations.audit_database import AuditDatabase
from techsapo_ops.services.mysql.session import Passing
from techsapo_ops.stack.engine import Access
from techsapo_ops.stack.topology import Topology

HOSTS = {
    name: {"address": f"10.0.0.{number}", "docker": f"ssh://ops@{name}"}
    for number, name in enumerate(("a", "b", "c"), 1)
}
NOBODY: Any = None


def of_machines(tmp_path: Path) -> Topology:
    more = {"engine": "swarm", "hosts": HOSTS, "floating_address": "10.0.0.100/24"}
    wanted = spec(**{k: v for k, v in EVERYTHING.items() if k != "redis"}, **more)
    return topology(wanted, tmp_path, "swarm")


def ready(where: Topology, database: AuditDatabase, service: str) -> None:
    database.ready(cast("Access", NOBODY), where, service)


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
    where, database = of_machines(tmp_path), AuditDatabase(cast("Runner", NOBODY))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: ready(where, database, f"mysql-{name}"), "abc"))
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
    database = AuditDatabase(cast("Runner", NOBODY))
    ready(of_machines(tmp_path), database, "mysql-a")
    assert asked == [3]

    monkeypatch.setattr(audit_database, "_PATIENCE", 0.05)
    asked[0] = -10_000
    with pytest.raises(Passing):
        ready(of_machines(tmp_path), database, "mysql-a")
    asked[0] = 2
    ready(of_machines(tmp_path), database, "mysql-b")

"""Incidents in a cluster of three MariaDB: a process at each member, and all hear the same at once.

Two apps at one MariaDB are in test_storm_lab.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import incident_reporter
import pytest
from audit_rows import prepare
from galera_lab import Member, cluster, three_machines
from incident_reporter import EACH, GROUPS, HOUR, NOW
from servers import mariadb

from techsapo_ops.incidents.alert import Listener
from techsapo_ops.incidents.incident import updated
from techsapo_ops.render.templates import Templates
from techsapo_ops.stores.incidents.rows import Event
from techsapo_ops.stores.incidents.store import IncidentStore, related_to

pytestmark = pytest.mark.lab


def hearing(words: Sequence[str], member: Member) -> subprocess.Popen[str]:
    argv = [sys.executable, incident_reporter.__file__, *words]
    pipe, path = subprocess.PIPE, str(Path(incident_reporter.__file__).parents[2])
    return subprocess.Popen(
        member.inside(*argv), stdin=pipe, stdout=pipe, stderr=pipe, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def all_at_once(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate(timeout=240) == ("", "")
        assert process.returncode == 0


def test_incidents_of_before_the_stack_had_mariadb_are_taken_over_once_with_their_numbers(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.sqlite"
    earlier = IncidentStore(None, file)
    for n in (1, 2):
        report(earlier, f"s{n}")
    earlier.add_event(Event("e1", NOW, NOW, "deployed 商店 v12", "shop"))
    stored = [(i, earlier.alerts(i.number), earlier.entries(i.number)) for i in earlier.incidents(limit=9)]
    earlier.close()
    with mariadb(tmp_path) as server:
        database = prepare(server)
        for more in (0, 1):
            store = IncidentStore(database, file)
            taken = [(i, store.alerts(i.number), store.entries(i.number)) for i in store.incidents(limit=9)]
            assert taken[more:] == stored
            assert [e.text for e in store.events(NOW, NOW, 9)] == ["deployed 商店 v12"]
            report(store, f"s{3 + more}")
            assert store.incidents(limit=1)[0].number == 3 + more
            store.close()


def report(store: IncidentStore, service: str) -> None:
    alert = Listener().reported({"alertname": "Slow", "service": service}, {}, NOW, None, "")
    read = related_to([alert.fingerprint], NOW - HOUR)
    store.change(read, lambda state: updated(state, [alert], NOW, HOUR, lambda _: False)[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="networks of its own need root")
def test_three_members_of_a_cluster_that_hear_the_same_at_once_have_one_incident_a_group(
    tmp_path: Path,
) -> None:
    with cluster(three_machines(tmp_path), Templates()) as running:
        running.seed()
        running.start()
        running.wait()
        names = [member.name for member in running.members]
        words = ["techsapo", "lab-app", "3306"]
        own = [[*names[n:], *names[:n]] for n in range(len(names))]
        all_at_once(
            [hearing([*words, *o], m) for o, m in zip(own, running.members, strict=True)]
        )  # fmt: skip
        counted = "SELECT COUNT(*), MAX(number), MIN(alerts), MAX(firing) FROM techsapo_audit.incidents"
        rows = "SELECT COUNT(*) FROM techsapo_audit.incident_alerts"
        for member in running.members:
            assert member.sql(counted) == [[str(GROUPS), str(GROUPS), str(EACH), str(EACH)]]
            assert member.sql(rows) == [[str(GROUPS * EACH)]]

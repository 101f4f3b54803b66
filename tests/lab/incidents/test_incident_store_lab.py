"""Incidents in a real MariaDB: two processes that hear the same at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from audit_rows import prepare
from servers import Server, mariadb

from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.incidents.store import IncidentStore

pytestmark = pytest.mark.lab

HEAR = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.incidents.alert import Listener
from techsapo_ops.incidents.incident import updated
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.incidents.store import IncidentStore, heard_of

store = IncidentStore(
    AuditServer("127.0.0.1", int(sys.argv[1]), "techsapo_audit", "root", Secret(sys.argv[2])), Path()
)
now, hour = datetime(2026, 12, 2, 12, tzinfo=UTC), timedelta(hours=1)


def hear(group):
    listener = Listener(group=f"g{group}")
    alerts = [
        listener.heard({"alertname": "Slow", "service": f"s{group}", "pod": str(n)}, {}, now, None, "")
        for n in range(20)
    ]
    read = heard_of((a.fingerprint for a in alerts), now - hour)
    store.change(read, lambda state: updated(state, alerts, now, hour, lambda a: False))


store.incidents(limit=1)
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(hear, range(25)))
"""


def test_five_hundred_alerts_that_two_processes_hear_at_once_are_one_incident_a_group(tmp_path: Path) -> None:
    with mariadb(tmp_path) as server:
        prepare(server)
        hearing = [_hearing(server) for _ in range(2)]
        for process in hearing:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in hearing:
            assert process.communicate("go\n", timeout=120) == ("", "")
            assert process.returncode == 0
        store = IncidentStore(audit(server), Path())
        incidents = store.incidents(limit=100)
        assert [i.number for i in incidents] == list(range(25, 0, -1))
        assert {(i.alerts, i.firing) for i in incidents} == {(20, 20)}
        assert {len(store.alerts(i.number)) for i in incidents} == {20}
        assert [[e.kind for e in store.entries(i.number)] for i in incidents] == [["opened", "joined"]] * 25
        store.close()


def audit(server: Server) -> AuditServer:
    return AuditServer("127.0.0.1", server.port, "techsapo_audit", "root", Secret(server.password or ""))


def _hearing(server: Server) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HEAR, str(server.port), server.password or ""]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

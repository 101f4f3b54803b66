"""A process that reports ten groups of ten alerts, four groups at once, once its standard input says so.

Run as `incident_reporter.py USER PASSWORD PORT HOST…`, the own member of a cluster first.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.incidents.alert import Listener
from techsapo_ops.incidents.incident import updated
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.incidents.store import IncidentStore, related_to

GROUPS, EACH = 10, 10
NOW, HOUR = datetime(2026, 12, 2, 12, tzinfo=UTC), timedelta(hours=1)


def main(user: str, password: str, port: int, hosts: list[str]) -> None:
    """Say `ready`, wait for a line, and report."""
    others = tuple(Address(host, port) for host in hosts[1:])
    server = AuditServer(hosts[0], port, "techsapo_audit", user, Secret(password), others=others)
    store = IncidentStore(server, Path())

    def report(group: int) -> None:
        listener = Listener(group=f"g{group}")
        alerts = [
            listener.reported({"alertname": "Slow", "service": f"s{group}", "pod": str(n)}, {}, NOW, None, "")
            for n in range(EACH)
        ]
        read = related_to((alert.fingerprint for alert in alerts), NOW - HOUR)
        store.change(read, lambda state: updated(state, alerts, NOW, HOUR, lambda _: False)[0])

    store.incidents(limit=1)
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, range(GROUPS)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])

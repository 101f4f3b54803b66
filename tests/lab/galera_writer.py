"""An app's audit log on the network of one member: it writes rows until it is told to end.

Run as `galera_writer.py PID FOLDER RATE HOST…`, on the network of the process PID, the own member first.
FOLDER/acked has a line for each row that was acknowledged, FOLDER/written one for each batch that reached the
database. It ends when FOLDER/end is there and no row waits on disk any more.
"""

from __future__ import annotations

import sys
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from networks import enter

from techsapo_ops.adapters.address import Address
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow

ROW = AuditRow(
    id="", time=datetime.now(UTC), instance="app-1", request_id="req", user_id=None, task_type="basic",
    prompt_hash="a" * 64, providers=("sim-a",), confidence=0.8, consensus=0.7, accepted=True, simulated=True,
    cache="miss", cost_usd=0.5, status="accepted", processing_ms=12,
    calls=(AuditCall("sim-a", "sim", "answer", "success", 0.5, 1, 1, 1),),
)  # fmt: skip


def main(folder: Path, rate: float, hosts: list[str]) -> None:
    """Write rows, `rate` of them in a second."""
    others = tuple(Address(host, 3306) for host in hosts[1:])
    server = AuditServer(hosts[0], 3306, "techsapo_audit", "techsapo", Secret("lab-app"), others=others)
    with (folder / "acked").open("a") as acked, (folder / "written").open("a") as written:

        def told(status: str, rows: int) -> None:
            if status == "success":
                written.write(f"{time.time():.3f} {rows}\n")
                written.flush()

        log = AuditLog(server, folder, told, flush_interval=0.05)
        log.start()
        while not (folder / "end").exists():
            row = replace(ROW, id=uuid.uuid4().hex, time=datetime.now(UTC))
            future = log.put(row)
            if future is not None and future.result(timeout=60):
                acked.write(row.id + "\n")
                acked.flush()
            time.sleep(1 / rate)
        spool = folder / "audit-spool.jsonl"
        while spool.exists() and spool.stat().st_size:
            time.sleep(0.1)
        log.close()


if __name__ == "__main__":
    enter(int(sys.argv[1]))
    main(Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])

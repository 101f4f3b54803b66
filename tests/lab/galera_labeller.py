"""People who label one answer through the app on the network of one member, until they are told to end.

Run as `galera_labeller.py PID FOLDER RATE HOST…`, on the network of the process PID, the own member first.
FOLDER/acked and FOLDER/written get a line for each label that was stored. A label that the database did not
take is given again.
"""

from __future__ import annotations

import sys
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from galera_writer import ROW
from networks import enter

from techsapo_ops.adapters.address import Address
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.audit.store import ClusterStore
from techsapo_ops.stores.labels.rows import Label
from techsapo_ops.stores.labels.store import LabelStore

REQUEST = "labelled-by-all"


def main(folder: Path, rate: float, hosts: list[str]) -> None:
    """Label, `rate` times in a second."""
    others = tuple(Address(host, 3306) for host in hosts[1:])
    server = AuditServer(hosts[0], 3306, "techsapo_audit", "techsapo", Secret("lab-app"), others=others)
    answer = replace(ROW, id=uuid.uuid4().hex, time=datetime.now(UTC), request_id=REQUEST, panel="{}")
    ClusterStore(server).insert_for_good([answer])
    store = LabelStore(server, folder / "none")
    with (folder / "acked").open("a") as acked, (folder / "written").open("a") as written:
        while not (folder / "end").exists():
            id_ = uuid.uuid4().hex
            label = Label(id_, REQUEST, id_, "right", None, datetime.now(UTC), "api")
            while not _stored(store, label):
                time.sleep(0.1)
            acked.write(id_ + "\n")
            written.write(f"{time.time():.3f} 1\n")
            acked.flush()
            written.flush()
            time.sleep(1 / rate)


def _stored(store: LabelStore, label: Label) -> bool:
    try:
        return store.add(label)
    except Away as away:
        sys.stderr.write(f"{away}\n")
        return False


if __name__ == "__main__":
    enter(int(sys.argv[1]))
    main(Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])

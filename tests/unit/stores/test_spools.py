"""Two processes of one instance, where the next one starts before the last one ends."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import free_port, wait_for

from techsapo_ops.adapters.address import Address
from techsapo_ops.stores.audit import log as logs
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.server import AuditServer
from techsapo_ops.stores.audit.spool import NAME, AuditRow, Spool, Spools

ROW = AuditRow(
    id="0" * 32, time=datetime(2026, 11, 27, tzinfo=UTC), instance="app-1", request_id="req_0", user_id=None,
    task_type="basic", prompt_hash="a" * 64, providers=("sim-a",), confidence=0.8, consensus=0.7,
    accepted=True, simulated=True, cache="miss", cost_usd=0.5, status="accepted", processing_ms=12,
)  # fmt: skip
_HOLDS = """
import sys, time
from pathlib import Path
from techsapo_ops.stores.audit.spool import Spools
held = Spools(Path(sys.argv[1]))
print(held.own, flush=True)
time.sleep(600)
"""


def away() -> AuditServer:
    """A cluster of which no member is there."""
    others = (Address("127.0.0.1", free_port()),)
    return AuditServer("127.0.0.1", free_port(), "audit", "app", others=others)


def test_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    first = Spools(tmp_path)
    second = Spools(tmp_path)
    assert first.own == tmp_path / NAME
    assert second.own == tmp_path / "audit-spool-2.jsonl"
    first.close()
    assert Spools(tmp_path).own == tmp_path / NAME


def test_a_file_is_free_again_when_its_process_was_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == str(tmp_path / NAME)
    mine = Spools(tmp_path)
    (tmp_path / NAME).touch()
    assert list(mine.left()) == []
    process.kill()
    process.wait(60)
    assert list(mine.left()) == [tmp_path / NAME]


def test_no_file_is_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "audit-spool.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Spools(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_last_process_left_is_taken_over_while_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PROBE", 0.1)
    last = Spools(tmp_path)
    Spool(last.own).append([ROW])
    log = AuditLog(away(), tmp_path)
    log.start()
    future = log.put(replace(ROW, id="1" * 32))
    assert future is not None
    assert future.result(timeout=60)
    assert [row.id for row in Spool(last.own).read()] == [ROW.id], "its process lives"
    last.close()
    wait_for(lambda: not last.own.exists(), what="its rows taken over")
    log.close()
    assert {row.id for row in Spool(tmp_path / "audit-spool-2.jsonl").read()} == {ROW.id, "1" * 32}
    assert Spools(tmp_path).own == last.own


def test_one_host_keeps_the_one_file_and_no_lock(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path)
    log.start()
    log.close()
    assert not list(tmp_path.glob("*.lock"))


def test_in_a_cluster_rows_wait_in_the_spool(tmp_path: Path) -> None:
    log = AuditLog(away(), tmp_path)
    log.start()
    assert log.put(ROW).result(60)
    wait_for(lambda: [row.id for row in Spool(tmp_path / NAME).read()] == [ROW.id], what="it is on disk")
    wait_for(lambda: log.status().spooled == 1, what="it is told")
    log.close()

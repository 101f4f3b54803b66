"""Two processes of one instance, where the next one starts before the last one ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from servers import wait_for
from written import ROW, away, rows, spooled, told, writing

from techsapo_ops.adapters.address import Address
from techsapo_ops.stores.audit import log as logs
from techsapo_ops.stores.audit.spool import NAME, Spool, Spools

_HOLDS = """
import sys, time
from pathlib import Path
from techsapo_ops.stores.audit.spool import Spools
held = Spools(Path(sys.argv[1]))
print(held.own, flush=True)
time.sleep(600)
"""


OTHER = Address("127.0.0.1", 1)


def test_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    first, second = Spools(tmp_path), Spools(tmp_path)
    assert (first.own, second.own) == (tmp_path / NAME, tmp_path / "audit-spool-2.jsonl")
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
    with writing(away(OTHER), tmp_path) as log:
        assert told(log, rows(1, 1)[0])
        assert spooled(last.own) == ["req_0"], "its process lives"
        last.close()
        wait_for(lambda: not last.own.exists(), what="its rows taken over")
    assert set(spooled(tmp_path / "audit-spool-2.jsonl")) == {"req_0", "req_1"}
    assert Spools(tmp_path).own == last.own


def test_one_host_keeps_the_one_file_and_no_lock(tmp_path: Path) -> None:
    with writing(None, tmp_path):
        pass
    assert not list(tmp_path.glob("*.lock"))


def test_in_a_cluster_rows_wait_in_the_spool(tmp_path: Path) -> None:
    with writing(away(OTHER), tmp_path) as log:
        assert told(log, ROW)
        wait_for(lambda: spooled(tmp_path) == ["req_0"], what="it is on disk")
        wait_for(lambda: log.status().spooled == 1, what="it is told")

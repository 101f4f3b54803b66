"""A backup of a running Redis and MariaDB holds everything, and a trial restore proves that it comes back."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backup_lab import ROWS, backed_up, forged, full_lab, stack_of
from projects import Project
from servers import binary

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.needs("redis-server", "mariadbd", "mariadb-install-db", "mariadb-dump", "promtool")


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    with full_lab() as made:
        yield made


@pytest.fixture
def stack(lab: Project) -> Stack:
    return stack_of(lab)


@pytest.fixture(scope="module")
def backup(lab: Project) -> Backup:
    return backed_up(lab)


def test_a_backup_holds_every_source_under_the_guides_names_with_facts(lab: Project, backup: Backup) -> None:
    manifest = backup.read()
    day = manifest.started.strftime("%Y%m%d")
    files = sorted(p.name for p in backup.folder.iterdir())
    assert [f.split("T")[0] for f in files] == [
        "SHA256SUMS", f"audit-{day}", f"config-{day}", "manifest.json", "manifest.mac", f"redis-{day}",
    ]  # fmt: skip
    tables = manifest.part("mysql").facts["tables"]  # type: ignore[union-attr] # it is there
    assert tables["notes"]["rows"] == ROWS
    assert manifest.part("mysql").facts["exact"] is True  # type: ignore[union-attr]
    assert manifest.part("mysql").facts["binlog"]["position"] > 0  # type: ignore[union-attr]
    assert manifest.part("redis").facts["databases"]["3"] == {"keys": 1, "expires": 1}  # type: ignore[union-attr]
    assert {p.stat().st_mode & 0o777 for p in backup.folder.iterdir()} == {0o600}
    listed = json.loads(lab.run("backup", "list", "--json").stdout)
    assert [entry["id"] for entry in listed] == [backup.id]
    assert "rows in" in lab.run("backup", "show", backup.id[:12]).stdout


def test_it_is_whole_and_restores_to_the_facts(lab: Project, backup: Backup) -> None:
    assert json.loads(lab.run("backup", "verify", backup.id, "--json").stdout)["ok"] is True
    time.sleep(
        max(0.0, 0.5 - (datetime.now(UTC) - backup.read().ended).total_seconds())
    )  # `fleeting` is gone
    deep = json.loads(lab.run("backup", "verify", backup.id, "--deep", "--json").stdout)
    assert deep["ok"] is True
    assert {p["kind"]: p["problems"] for p in deep["parts"]} == {"redis": [], "mysql": [], "config": []}
    assert all(p["seconds"] > 0 for p in deep["parts"])
    text = (lab.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_last_verification_success{name="backups"} 1.0' in text
    assert 'techsapo_backup_recovery_seconds{name="backups",source="mysql"}' in text
    assert (
        subprocess.run([binary("promtool"), "check", "metrics"], input=text.encode(), check=False).returncode
        == 0
    )


def test_a_row_that_changed_in_the_dump_is_found_by_restoring_it(
    backup: Backup, stack: Stack, tmp_path: Path
) -> None:
    part = backup.read().part("mysql")
    assert part is not None
    whole = b"".join(PackedReader(backup.folder / part.file))
    at = whole.index(b"INSERT INTO `notes` VALUES")
    quote = whole.index(b"'", at)
    changed = (
        whole[: quote + 1] + (b"0" if whole[quote + 1 : quote + 2] != b"0" else b"1") + whole[quote + 2 :]
    )
    copied = forged(backup, stack, tmp_path, "mysql", changed)
    assert verify_backup(copied, backup.id).ok
    found = verify_backup(copied, backup.id, deep=True).sentences
    assert len(found) == 1
    assert "table notes has different contents" in found[0]

"""Backups of a running Prometheus's samples: taken, read through, swapped in, and every fault on the way."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backup_lab import killed, stack_of
from projects import Project, project, small_spec
from servers import wait_for
from stacks import with_alerts

from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.errors import OpsError
from techsapo_ops.services.monitor import USER, password_file
from techsapo_ops.services.monitoring import scratch_api
from techsapo_ops.services.prometheus import snapshot as prometheus
from techsapo_ops.services.prometheus.backup import PrometheusBackup
from techsapo_ops.stack.data_notes import MARK
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step

pytestmark = pytest.mark.lab

HISTORY = 200
"""Samples of a series of the past, five minutes apart."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    spec = small_spec(backup={"prometheus": True}, schedule={"by": "none"})
    spec["monitoring"] |= with_alerts()
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"
    spec["monitoring"]["alertmanager"]["enabled"] = False
    with project(spec) as made:
        history(made)
        made.run("up")
        wait_for(lambda: asked(made, "up") != [], what="the first scrape")
        yield made


def history(made: Project) -> None:
    """Blocks of yesterday, as if it had run then."""
    now = int(time.time()) - 86_400
    lines = ["# TYPE old gauge", *(f"old {n} {now + 300 * n}" for n in range(HISTORY)), "# EOF\n"]
    text = made.directory / "history.txt"
    text.write_text("\n".join(lines))
    data = made.state / "data" / "prometheus"
    data.mkdir(parents=True)
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
        check=True, capture_output=True,
    )  # fmt: skip


def api(made: Project) -> Prometheus:
    url = f"http://127.0.0.1:{made.spec['monitoring']['prometheus']['port']}"
    return Prometheus(url, timeout=20, login=BasicLogin(USER, password_file(made.layout, "prometheus")))


def asked(made: Project, expression: str) -> list[float]:
    return [sample.value for sample in api(made).query(expression)]


def old(made: Project) -> list[float]:
    return asked(made, "sum(count_over_time(old[3d]))")


def snapshots(made: Project) -> list[str]:
    folder = made.state / "data" / "prometheus" / "snapshots"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@pytest.fixture(scope="module", autouse=True)
def soon() -> Iterator[None]:
    """What is counted is of two seconds ago, so that a Prometheus that has just started has something."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PrometheusBackup, "settled", 2.0)
        yield


@pytest.fixture(scope="module")
def backup(lab: Project) -> Backup:
    wait_for(lambda: asked(lab, "count_over_time(up[1m])")[0] > 2, what="some scrapes")
    return create_backup(stack_of(lab), only=("prometheus",)).backup


def test_a_snapshot_holds_every_block_and_what_was_in_memory_and_is_gone_afterwards(
    lab: Project, backup: Backup
) -> None:
    part = backup.read().part("prometheus")
    assert part is not None
    assert part.file == f"prometheus-{backup.id}.tar.zst"
    assert part.server.startswith("Prometheus 2.")
    blocks = part.facts["blocks"]
    assert len(blocks) >= 2
    assert sum(block["samples"] for block in blocks.values()) > HISTORY
    assert all(block["min_time"] < block["max_time"] for block in blocks.values())
    assert part.facts["counted"]["series"] > 100
    assert snapshots(lab) == []
    assert "samples in" in lab.run("backup", "show", backup.id).stdout


def test_it_is_whole_and_every_sample_is_read_on_trial(lab: Project, backup: Backup) -> None:
    assert json.loads(lab.run("backup", "verify", backup.id, "--json").stdout)["ok"] is True
    deep = json.loads(lab.run("backup", "verify", backup.id, "--deep", "--json").stdout)
    assert [(p["kind"], p["problems"]) for p in deep["parts"]] == [("prometheus", [])]
    text = (lab.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_recovery_seconds{name="backups",source="prometheus"}' in text


def packed(content: bytes, path: Path) -> Path:
    with PackedWriter(path) as file:
        file.write(content)
    return path


def test_a_block_that_is_missing_or_damaged_is_found(backup: Backup, stack: Stack, tmp_path: Path) -> None:
    part = backup.read().part("prometheus")
    assert part is not None
    folder = tmp_path / "blocks"
    prometheus.unpack(backup.reader(part), folder, lambda _: None)
    block = max(part.facts["blocks"], key=lambda name: part.facts["blocks"][name]["samples"])
    chunks = folder / block / "chunks" / "000001"
    data = bytearray(chunks.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8] = b"\xff" * 8
    chunks.write_bytes(data)

    def problems() -> list[str]:
        tar = subprocess.run(["tar", "-cf", "-", "-C", folder, "."], check=True, capture_output=True).stdout
        file = packed(tar, tmp_path / f"{time.monotonic_ns()}.zst")
        listed = prometheus.check(part, PackedReader(file))
        if listed:
            return listed

        def seed(place: Path) -> None:
            prometheus.unpack(PackedReader(file), place / "data", lambda _: None)

        with stack.engine.scratch("prometheus", seed=seed) as made:
            there = scratch_api(made)
            return prometheus.differences(part.facts, there) + prometheus.read_through(part.facts, there)

    found = problems()
    assert found
    assert any(block in said for said in found if "can't be read" in said), found
    chunks.unlink()
    assert problems() == [f"block {block} is incomplete"]


def test_a_restore_brings_deleted_samples_back_and_the_safety_backup_undoes_it(
    lab: Project, backup: Backup, stack: Stack
) -> None:
    assert api(lab).send("api/v1/admin/tsdb/delete_series?match[]=old").status == 204
    assert old(lab) == []
    with pytest.raises(OpsError, match="holds no data to restore"):  # but where --only names it
        intend(stack, backup.id)
    done = json.loads(lab.run("restore", backup.id, "--only", "prometheus", "--yes", "--json").stdout)
    assert old(lab) == [HISTORY]
    wait_for(lambda: asked(lab, "count_over_time(up[5s])") != [], what="it scrapes again")
    assert not [p for p in (lab.state / "data" / "prometheus").glob(".*") if p.name != MARK]
    lab.well()
    restore.perform(stack, intend(stack, done["safety"], ("prometheus",)))
    assert old(lab) == []
    restore.perform(stack, intend(stack, backup.id, ("prometheus",)))


def test_a_restore_that_fails_or_is_killed_brings_the_very_blocks_back(
    lab: Project, backup: Backup, stack: Stack
) -> None:
    before = old(lab)
    intent = intend(stack, backup.id, ("prometheus",))
    intent.parts[0].facts["counted"]["series"] += 1  # a wish that can't be fulfilled
    with pytest.raises(OpsError, match=r"was not restored correctly: .* series at [\s\S]*was undone"):
        restore.perform(stack, intent)
    assert old(lab) == before
    process = lab.popen("restore", backup.id, "--yes", "--only", "prometheus")
    wait_for((lab.state / "journal/restore.json").exists, timeout=60, what="the data is being replaced")
    process.kill()
    process.communicate()
    said = lab.run("restore", backup.id, "--only", "prometheus", code=1)
    assert "a restore was interrupted; undoing it" in said.stderr
    assert old(lab) == before
    assert not [p for p in (lab.state / "data" / "prometheus").glob(".*") if p.name != MARK]
    lab.well()


def test_a_tool_killed_mid_way_leaves_no_snapshot_for_ever(lab: Project, stack: Stack) -> None:
    known = [b.id for b in repository_of(stack).backups()]
    api(lab).snapshot()
    (users,) = snapshots(lab)
    killed(lab, "event == 'open' and 'prometheus-2' in name", "backup", "--only", "prometheus")
    assert len(snapshots(lab)) == 2
    assert [b.id for b in repository_of(stack).backups()] == known
    lab.run("backup", "--only", "config")  # any backup tidies up, also one of something else
    assert snapshots(lab) == [users]


def test_a_prometheus_that_is_down_or_without_its_admin_api_is_said(lab: Project, stack: Stack) -> None:
    known = [b.id for b in repository_of(stack).backups()]
    stack.engine.halt("prometheus")
    try:
        said = lab.run("backup", "--only", "prometheus", code=1).stderr
        assert "prometheus: http://127.0.0.1" in said
        assert "refused" in said
        assert "techsapo ps" in said
    finally:
        Step(Action.RESTART, "prometheus", "asked for").perform(stack.engine)
    kept = lab.spec
    lab.write(backup={})
    try:
        assert "backup.prometheus is off" in lab.run("backup", "--only", "prometheus", code=1).stderr
        said = lab.run("restore", known[0], "--only", "prometheus", "--yes", code=1).stderr
        assert "can't be backed up first" in said
        lab.run("up")
        lab.write(backup={"prometheus": True})
        said = lab.run("backup", "--only", "prometheus", code=1).stderr
        assert "Prometheus runs without its admin API" in said
        assert "techsapo up" in said
    finally:
        lab.write(**kept)
        lab.run("up")
    assert [b.id for b in repository_of(stack).backups()] == known
    assert not (lab.state / "prometheus-snapshot.json").exists()

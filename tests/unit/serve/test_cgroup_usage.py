from __future__ import annotations

from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.cgroup import HostUsage


def group(directory: Path, **files: str) -> HostUsage:
    for name, text in files.items():
        (directory / name.replace("_", ".", 1)).write_text(text)
    return HostUsage(directory)


def test_memory_is_a_share_of_the_cgroups_limit_without_what_can_be_given_back(tmp_path: Path) -> None:
    usage = group(
        tmp_path, memory_max="1000\n", memory_current="600\n", memory_stat="anon 1\ninactive_file 100\n"
    )
    assert usage.memory_percent() == 50
    assert usage.memory_limit() == 1000


@each_row("limit", ["max\n", "", "nonsense"])
def test_without_a_limit_memory_is_the_hosts(tmp_path: Path, limit: str) -> None:
    usage = group(tmp_path, memory_max=limit, memory_current="600\n")
    assert 0 < usage.memory_percent() <= 100
    assert usage.memory_limit() is None


def test_cpu_is_a_share_of_the_quota_since_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = group(tmp_path, cpu_max="200000 100000\n", cpu_stat="usage_usec 1000000\n")
    now = 100.0
    monkeypatch.setattr("techsapo_ops.adapters.cgroup.time.monotonic", lambda: now)
    assert usage.cpu_percent() is None
    now = 110.0
    (tmp_path / "cpu.stat").write_text("usage_usec 11000000\n")
    assert usage.cpu_percent() == 50  # 10 s of CPU in 10 s on 2 cores


def test_without_a_quota_cpu_is_the_hosts(tmp_path: Path) -> None:
    usage = group(tmp_path, cpu_max="max 100000\n")
    percent = usage.cpu_percent()
    assert percent is not None
    assert 0 <= percent <= 100

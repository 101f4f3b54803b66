"""What checks a snapshot of Redis, and what is read and tidied of Prometheus's."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.prometheus import Sample
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.prometheus.backup import PrometheusBackup
from techsapo_ops.services.prometheus.snapshot import differences, read_through, readings
from techsapo_ops.services.redis.backup import RedisBackup
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.stack import Stack


class Tools:
    """An engine whose only part is where tools are."""

    def __init__(self, checker: Path) -> None:
        self.checker = checker
        self.asked: list[str] = []

    def tool(self, service: str, command: Command) -> Command:
        self.asked.append(service)
        return Command((str(self.checker), *command.argv[1:]))


def script(path: Path, said: str) -> Path:
    path.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{said}'\nexit 1\n")
    path.chmod(0o755)
    return path


@each_row("engine", ["native", "compose"])
@each_row("redis", [True, False])
def test_a_snapshot_is_checked_also_where_the_stack_has_no_redis_any_more(
    redis: bool, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Docker Compose a good snapshot was found faulty then: there is no service redis."""
    script(tmp_path / "redis-check-rdb", "said on this host")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tools: Any = Tools(script(tmp_path / "of-the-service", "said by the service"))
    wanted = spec(redis={"enabled": redis})
    where = topology(wanted, tmp_path, engine)
    stack = Stack(where, tools, tools, tmp_path, Templates(), lambda *_: tools)
    packed = tmp_path / "dump.rdb.zst"
    with PackedWriter(packed) as file:
        file.write(b"REDIS0011 and so on")
    part = Part("redis", packed.name, file.bytes, file.raw_bytes, file.sha256, 0.1)
    (said,) = RedisBackup().check(stack, part, PackedReader(packed))
    assert said == f"redis-check-rdb: said {'by the service' if redis else 'on this host'}"
    assert tools.asked == (["redis"] if redis else [])


HOUR = 3600 * 1000


@each_row(
    "first, end, count",
    [(HOUR, HOUR + 1, 1), (HOUR, 13 * HOUR, 2), (HOUR, 13 * HOUR - 1, 1), (HOUR, 37 * HOUR, 4)],
)
def test_every_moment_of_a_block_is_in_one_window_also_where_its_start_is_left_out(
    first: int, end: int, count: int
) -> None:
    windows = []
    for asked in readings(first, end):
        found = re.search(r"\[(\d+)ms\] @ (\d+\.\d{3})\)", asked)
        assert found is not None
        until = round(float(found[2]) * 1000)
        windows.append((until - int(found[1]), until))
    assert len(windows) == count
    assert windows[0][0] < first, "Prometheus 3 does not read the very start of a window"
    assert windows[-1][1] == end
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert all(0 < until - since <= 12 * HOUR for since, until in windows)


class Answering:
    """A Prometheus whose samples all lie in one window, and whose last block is damaged."""

    def __init__(self, loaded: float) -> None:
        self.loaded = loaded

    def query(self, expression: str) -> tuple[Sample, ...]:
        if "@ 72000.000" in expression:
            raise ApiError("http://127.0.0.1:9090: bad chunk")
        return (Sample({}, 3, 0),) if "@ 46799.999" in expression else ()

    def own(self, metric: str) -> float | None:
        assert metric == "prometheus_tsdb_blocks_loaded"
        return self.loaded


def test_a_block_is_read_as_empty_only_where_none_of_its_windows_has_a_sample() -> None:
    def block(first: int, end: int, samples: int = 3) -> dict[str, int]:
        return {"min_time": first * HOUR, "max_time": end * HOUR, "samples": samples}

    blocks = {"a": block(1, 17), "b": block(10, 11), "c": block(10, 11, samples=0), "d": block(19, 20)}
    said = read_through({"blocks": blocks}, Answering(3))
    assert said == [
        "3 blocks can be loaded, not 4",
        "block b has no readable samples",
        "block d can't be read: bad chunk",
    ]


def test_one_that_does_not_answer_is_told_and_no_number_made_up() -> None:
    counted = {"time": 72000.0, "series": 1, "scrapes": 1}
    (said,) = differences({"counted": counted}, Answering(1))
    assert said == "the data of Prometheus can't be queried: http://127.0.0.1:9090: bad chunk"


class Volume:
    """An engine and a runner in one, with the names of the snapshots that are there."""

    def __init__(self, container: str, *snapshots: str) -> None:
        self.container = container
        self.snapshots = list(snapshots)

    def reaches(self, service: str) -> bool:
        assert service == "prometheus"
        return bool(self.container)

    def beside(self, service: str, command: Command) -> Command:
        assert (service, bool(self.container)) == ("prometheus", True)
        return command

    def run(self, command: Command, *, timeout: float) -> Completed:
        assert timeout > 0
        if command.argv[0] == "rm":
            self.snapshots.remove(Path(command.argv[-1]).name)
        return Completed(command, 0, "\n".join(self.snapshots).encode(), b"")


def with_volume(volume: Any, directory: Path, engine: str = "compose") -> Stack:
    wanted = spec(backup={"prometheus": True})
    where = topology(wanted, directory, engine)
    made = Stack(where, volume, volume, directory, Templates(), lambda *_: volume)
    made.topology.layout.state.mkdir(parents=True, exist_ok=True)
    return made


def note(made: Stack) -> Path:
    path = made.topology.layout.state / "prometheus-snapshot.json"
    path.write_text(json.dumps({"at": 0, "before": ["mine"], "name": "killed"}))
    return path


def test_it_goes_and_a_users_own_stays_also_while_prometheus_is_stopped(tmp_path: Path) -> None:
    volume = Volume("c1", "killed", "mine")
    made = with_volume(volume, tmp_path)
    left = note(made)
    PrometheusBackup().tidy(made)
    assert volume.snapshots == ["mine"]
    assert not left.exists()


def test_without_a_container_it_waits_for_a_later_backup(tmp_path: Path) -> None:
    volume = Volume("", "killed", "mine")
    made = with_volume(volume, tmp_path)
    left = note(made)
    PrometheusBackup().tidy(made)
    assert volume.snapshots == ["killed", "mine"]
    assert left.exists()

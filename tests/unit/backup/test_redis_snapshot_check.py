"""Where a snapshot of Redis is checked: with the service's own tools, else with those of this host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.process import Command
from techsapo_ops.render.templates import Templates
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

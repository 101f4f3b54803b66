"""A process that the kernel really kills, since its cgroup has used up its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import servers
from alert_lab import memory_group

from techsapo_ops.adapters.kernel_log import KMSG, OomKill, oom_kills

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or not os.access(KMSG, os.R_OK), reason="needs root and /dev/kmsg"),
]


def test_the_kernels_word_names_the_process_the_moment_and_the_limit() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    with memory_group() as group:
        group.limit(32 << 20)
        eats = "held = []\nwhile True: held.append(bytearray(1 << 20))"
        process = subprocess.Popen([*group.enter, sys.executable, "-S", "-c", eats])
        assert process.wait(60) == -9
    found: list[OomKill] = []

    def said() -> bool:
        found[:] = [kill for kill in oom_kills() if kill.pid == process.pid and kill.at >= before]
        return bool(found)

    servers.wait_for(said, what="the kernel's word")
    assert found[0].limit
    assert found[0].name.startswith("python")
    assert found[0].at <= datetime.now(UTC) + timedelta(seconds=1)

"""What the kernel said: processes that it killed because memory was used up.

Records of /dev/kmsg: https://docs.kernel.org/admin-guide/abi-testing.html (dev-kmsg)
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

KMSG = Path("/dev/kmsg")
_LONGEST = 8192
"""Bytes of a record (PRINTKRB_RECORD_MAX and its head)."""
_MOST = 20_000
_RECORD = re.compile(r"\d+,\d+,(\d+),[^;]*;(.*)")
_CHOSEN = re.compile(r"oom-kill:.*,task_memcg=([^,]*),.*pid=(\d+)")
_KILLED = re.compile(r"(Memory cgroup out|Out) of memory: Kill(?:ed)? process (\d+) \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class OomKill:
    """One process that was killed; `limit`: its cgroup had used up its own limit, not the host's memory.

    `cgroup` is the path of that, such as /system.slice/shop.service; "" where the kernel does not say it.
    """

    at: datetime
    pid: int
    name: str
    limit: bool
    cgroup: str = ""


def oom_kills(log: Path = KMSG) -> tuple[OomKill, ...]:
    """Those that the kernel's buffer still has, oldest first. Raises OpsError where it can't be read."""
    booted = datetime.now(UTC) - timedelta(seconds=time.clock_gettime(time.CLOCK_MONOTONIC))
    try:
        return tuple(kills(_records(log), booted))
    except OSError as error:
        raise OpsError(
            msg("cannot read the kernel's log {path}: {strerror}", path=log, strerror=error.strerror),
            msg("run as root"),
        ) from None


def kills(records: Iterator[str], booted: datetime) -> Iterator[OomKill]:
    """The kills among the `records` of a kernel that was `booted` then."""
    cgroups: dict[str, str] = {}
    for record in records:
        match = _RECORD.match(record)
        if match is not None and (chosen := _CHOSEN.search(match[2])):
            cgroups[chosen[2]] = chosen[1]
        killed = _KILLED.search(match[2]) if match is not None else None
        if match is not None and killed is not None:
            at = booted + timedelta(microseconds=int(match[1]))
            cgroup = cgroups.pop(killed[2], "")
            yield OomKill(at, int(killed[2]), killed[3], killed[1] != "Out", cgroup)


def _records(log: Path) -> Iterator[str]:
    descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(_MOST):
            try:
                record = os.read(descriptor, _LONGEST)
            except BlockingIOError:  # that was all
                return
            except BrokenPipeError:  # it was overwritten meanwhile: the next read gives the oldest one
                continue
            if not record:
                return
            yield record.decode(errors="replace")
    finally:
        os.close(descriptor)

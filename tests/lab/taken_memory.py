"""What the processes of one machine take of its memory, as the kernel lists their mappings.

The kernel's own "proportional set size" divides a page among all processes of the kernel that have it. The
machines of a lab are on one kernel and run the same programs, so each would have a third of a program that a
real machine reads into memory whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S{4} ([0-9a-f]+) \S+ (\d+)")
_SIZE = re.compile(r"(Rss|Anonymous):\s+(\d+) kB")


def taken(listed: Iterable[tuple[str, str]], *, files: bool = True) -> Counter[str]:
    """Bytes by program, of (program, content of /proc/PID/smaps) of all processes of one machine.

    What is a process's own counts for it. A part of a file that several have is there once, and counts for
    the one that has most of it (proc_pid_smaps(5)). Without `files` such parts are left out: the kernel reads
    them anew where it has given them back.
    """
    own: Counter[str] = Counter()
    of_files: dict[tuple[str, str], tuple[int, str]] = {}
    for program, smaps in listed:
        part: tuple[str, str] | None = None
        resident = 0
        for line in smaps.splitlines():
            if (mapping := _MAPPING.match(line)) is not None:
                offset, inode = mapping.groups()
                part = (inode, offset) if inode != "0" else None
            elif (size := _SIZE.match(line)) is not None:
                bytes_ = int(size[2]) * 1024
                if size[1] == "Rss":
                    resident = bytes_
                    continue
                own[program] += bytes_ if part is not None else resident
                if part is not None:
                    of_files[part] = max(of_files.get(part, (0, program)), (resident - bytes_, program))
    for most, program in of_files.values() if files else ():
        own[program] += most
    return own

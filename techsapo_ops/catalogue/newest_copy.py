"""Which host's copy of what jobs, backups and certificates left is read, where each of several has one.

A host that was away comes back with the files of then, and has the current ones with the next job or
apply. Until then its copy may say that a job is overdue, or that a backup is broken which was found right
elsewhere since.
"""

from __future__ import annotations

import re
from functools import cache

from techsapo_ops.catalogue.metrics import job_metrics

NEWEST_COPY = "techsapo:newest_textfiles:info"
"""Series of the node exporter whose host got its files last. They are written together: all of a host are
as old as its newest one."""
_MTIME = 'node_textfile_mtime_seconds{job="node-exporter"}'
NEWEST_COPY_RULE = f"max by (instance) ({_MTIME}) == scalar(max({_MTIME}))"
_OF_A_COPY = "instance, host"
"""Labels that say whose copy it is: whichever host is the newest after a delivery, it is the same alert."""


@cache
def _selectors() -> re.Pattern[str]:
    names = "|".join(sorted(job_metrics(), key=len, reverse=True))
    return re.compile(rf"(?<![\w:])(?:{names})(?![\w:])(?:\{{[^}}]*\}})?(?!\[)")


def of_newest_copy(expr: str) -> str:
    """`expr` with each series that jobs leave narrowed to the copy of the host that got it last."""
    return _selectors().sub(
        lambda found: f"max without ({_OF_A_COPY}) ({found[0]} and on (instance) {NEWEST_COPY})", expr
    )

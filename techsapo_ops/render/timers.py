"""One systemd service and one timer for each scheduled job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.systemd import CONTROL, systemd_quote, systemd_word, writable_paths
from techsapo_ops.spec.calendar import calendar_events
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

DELAY_SECONDS = 120
"""Timers of several stacks or machines don't all start at the same second."""
_SPARE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class TimedJob:
    """What a job's units need to know: its cron expression, its command and the longest it may take."""

    name: str
    at: str
    argv: tuple[str, ...]
    time_limit: float


def unit_prefix(spec: Spec) -> str:
    """How the names of this stack's units begin."""
    return f"techsapo-{spec.project}-job-"


def timer_files(
    topology: Topology, templates: Templates, jobs: Sequence[TimedJob], path: str
) -> tuple[RenderedFile, ...]:
    """NAME.service and NAME.timer for each of `jobs`; system units where root made them.

    `path` is the PATH of the jobs. Raises OpsError for a schedule or a folder that systemd can't be told.
    """
    spec, directory = topology.spec, topology.layout.spec_file.parent
    files = []
    for job in jobs:
        service = templates.render(
            "systemd/job.service.j2",
            project=spec.project,
            job=job,
            directory=_path(directory),
            path=systemd_word(f"PATH={path}"),
            command=" ".join(systemd_quote(word) for word in job.argv),
            time_limit=math.ceil(job.time_limit) + _SPARE_SECONDS,
            root=topology.host.root,
            writable=writable_paths(spec, directory),
        )
        timer = templates.render(
            "systemd/job.timer.j2",
            project=spec.project,
            job=job,
            calendar=calendar_events(job.at),
            delay=DELAY_SECONDS,
        )
        name = unit_prefix(spec) + job.name
        files += [RenderedFile(f"{name}.service", service), RenderedFile(f"{name}.timer", timer)]
    return tuple(files)


def _path(path: Path) -> str:
    """A setting that is one path takes it as it is, but for specifiers."""
    text = str(path)
    if CONTROL.search(text) or text != text.strip():
        raise OpsError(msg("{text} can't be told to systemd", text=repr(text)), msg("rename the folder"))
    return text.replace("%", "%%")

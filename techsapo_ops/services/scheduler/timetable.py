"""schedule/jobs.json: when jobs run, for the stack's own scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.layout import SCHEDULER
from techsapo_ops.stack.topology import Topology

JOBS_JSON = "schedule/jobs.json"


def schedule_files(spec: Spec) -> tuple[RenderedFile, ...]:
    """The schedule as it was applied, or nothing where others start the jobs.

    The scheduler reads this and not the spec: a spec that is being edited must not stop it.
    """
    if spec.schedule.by != "service":
        return ()
    data = spec.schedule.model_dump(mode="json")
    return (RenderedFile(JOBS_JSON, json.dumps(data, indent=1, sort_keys=True) + "\n"),)


def job_folders(spec: Spec, project: Path) -> Iterator[tuple[Path, str]]:
    """The folders that jobs write into beside the project, and the fields of the spec that name them."""
    backup = spec.backup
    if backup.path is not None:
        yield project / Path(backup.path).expanduser(), "backup.path"
    if backup.offsite is not None and ":" not in backup.offsite.restic:
        yield project / Path(backup.offsite.restic).expanduser(), "backup.offsite.restic"
    for name, certificate in spec.certificates.items():
        if certificate.install_to is not None:
            yield project / Path(certificate.install_to).expanduser(), f"certificates.{name}.install_to"


def nobody_starts_jobs(topology: Topology) -> bool:
    """Whether nobody starts the jobs although `schedule.by` is service, as in containers."""
    return topology.spec.schedule.by == "service" and not topology.has(SCHEDULER)

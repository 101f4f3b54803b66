"""The scheduler: starts the jobs natively, where `schedule.by` is service.

In a container it would need the Docker daemon's socket, which is as good as root: there the host's cron does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted
from techsapo_ops.stack.layout import SCHEDULER, SCHEDULER_STOP_SECONDS
from techsapo_ops.stack.service import HEARTBEAT, Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology
JOBS_JSON = "schedule/jobs.json"


class Scheduler(Kind):
    """`techsapo jobs schedule`."""

    facts = ServiceFacts(
        kind=SCHEDULER,
        title="scheduler",
        image="",
        # It listens nowhere, and stays who started it: jobs read and write what is that user's.
        port=0,
        user="",
        uid=0,
        probe=Probe(HEARTBEAT),
    )
    comes_last = True  # jobs ask the others

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        """One, where it can reach the services."""
        if spec.schedule.by == "service" and not places.from_images:
            yield Wanted(self.name, LOOPBACK, 0)

    def program(self, topology: Topology, service: Service) -> Program:
        """`techsapo jobs schedule` with the Python that runs the tool; it reads its configuration again."""
        from techsapo_ops.stack.desired import Program

        layout = topology.layout
        chosen = ("--environment", layout.environment) if layout.environment is not None else ()
        rendered = ("--rendered", str(layout.config / JOBS_JSON))
        return Program(
            service.name,
            (
                topology.host.python, "-m", "techsapo_ops", "jobs", "schedule", "--file",
                str(layout.spec_file), *chosen, *rendered,
            ),
            layout.logs,
            environment={"PYTHONUNBUFFERED": "1", "TECHSAPO_SERVICE": SCHEDULER},
            stop_seconds=SCHEDULER_STOP_SECONDS,
        )  # fmt: skip


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
        yield user_path(backup.path, project), "backup.path"
    if backup.offsite is not None and ":" not in backup.offsite.restic:
        yield user_path(backup.offsite.restic, project), "backup.offsite.restic"
    for name, certificate in spec.certificates.items():
        if certificate.install_to is not None:
            yield user_path(certificate.install_to, project), f"certificates.{name}.install_to"


def nobody_starts_jobs(topology: Topology) -> bool:
    """Whether nobody starts the jobs although `schedule.by` is service, as in containers."""
    return topology.spec.schedule.by == "service" and not topology.has(SCHEDULER)

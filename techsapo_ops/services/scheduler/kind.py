"""The scheduler: starts the jobs natively, where `schedule.by` is service.

In a container it would need the Docker daemon's socket, which is as good as root: there the host's cron does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted
from techsapo_ops.stack.layout import SCHEDULER, SCHEDULER_STOP_SECONDS
from techsapo_ops.stack.service import HEARTBEAT, Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology


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
        from techsapo_ops.services.scheduler.timetable import JOBS_JSON
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

from __future__ import annotations

from typing import get_args

from rows import each_row

from techsapo_ops.catalogue.jobs import JobFacts, jobs
from techsapo_ops.operations.jobs import load
from techsapo_ops.schedule.job import configured
from techsapo_ops.spec.models.data import JobName


@each_row("facts", jobs().values(), ids=lambda f: f.name)
def test_every_job_that_is_offered_can_be_run_and_scheduled(facts: JobFacts) -> None:
    assert callable(load(facts.operation))
    assert facts.name in get_args(JobName)
    assert facts.timeout > 0
    assert set(facts.title) == {"ja", "en"}


def test_the_spec_changes_the_time_limit() -> None:
    job = configured(jobs()["costs"], "0 1 * * *", "1m")
    assert (job.timeout, job.waits, job.at) == (60, (30, 60), "0 1 * * *")

from __future__ import annotations

from rows import each_row

from techsapo_ops.catalogue.jobs import JobFacts, jobs
from techsapo_ops.operations.jobs import load
from techsapo_ops.schedule.job import configured


@each_row("facts", jobs().values(), ids=lambda f: f.name)
def test_every_job_that_is_offered_can_be_run(facts: JobFacts) -> None:
    assert callable(load(facts.operation))


def test_the_spec_changes_the_time_limit() -> None:
    job = configured(jobs()["costs"], "0 1 * * *", "1m")
    assert (job.timeout, job.waits, job.at) == (60, (30, 60), "0 1 * * *")

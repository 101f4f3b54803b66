"""What a job is, and what one try of it gives."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.catalogue.jobs import JobFacts
from techsapo_ops.spec.models.base import seconds

OK = 0
TIMED_OUT = 124
"""Exit code of a run that its time limit ended, as timeout(1) has it."""
INTERRUPTED = 130
KILLED = 137
"""Exit code of a run that was killed: 128 and SIGKILL, as a shell has it."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job's operation returns: a line for its history, and metrics of its own.

    `exit_code` is for what went wrong in part; an operation that failed altogether raises OpsError.
    """

    summary: str = ""
    samples: tuple[Sample, ...] = ()
    exit_code: int = OK


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is to run; times in seconds. `at` is its cron expression, None where no schedule has it.

    A failed try is repeated `retries` times: after `retry_wait` first, twice as long each further time.
    """

    name: str
    timeout: float
    retries: int = 0
    retry_wait: float = 0.0
    at: str | None = None

    @property
    def waits(self) -> tuple[float, ...]:
        """Seconds before each new try."""
        return tuple(self.retry_wait * 2**number for number in range(self.retries))

    @property
    def time_limit(self) -> float:
        """Seconds that one run may take, with all its tries and the waits between them."""
        return self.timeout * (1 + self.retries) + sum(self.waits)


def configured(facts: JobFacts, at: str | None, timeout: str | None) -> Job:
    """The job of the catalogue, at the time and with the time limit of the spec."""
    return Job(
        facts.name,
        facts.timeout if timeout is None else seconds(timeout),
        facts.retries,
        facts.retry_wait,
        at,
    )

"""What a job is, and what one try of it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
class Retry:
    """How often a failed try is repeated: after `wait` seconds first, twice as long each further time."""

    times: int = 0
    wait: float = 0.0

    def waits(self) -> Iterator[float]:
        """Seconds before each new try."""
        for number in range(self.times):
            yield self.wait * 2**number


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is to run. `at` is its cron expression, None where no schedule has it."""

    name: str
    operation: str
    timeout: float
    retry: Retry = field(default_factory=Retry)
    at: str | None = None

    @property
    def time_limit(self) -> float:
        """Seconds that one run may take, with all its tries and the waits between them."""
        return self.timeout * (1 + self.retry.times) + sum(self.retry.waits())


def configured(facts: JobFacts, at: str | None, timeout: str | None) -> Job:
    """The job of the catalogue, at the time and with the time limit of the spec."""
    return Job(
        name=facts.name,
        operation=facts.operation,
        timeout=facts.timeout if timeout is None else seconds(timeout),
        retry=Retry(facts.retries, facts.retry_wait),
        at=at,
    )

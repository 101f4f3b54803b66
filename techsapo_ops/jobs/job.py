"""What a job is, what it is given, and what one try of it gives.

A job is a function that takes a JobContext and returns a JobResult. It prints nothing: `context.tell` writes
a line into the run's log. What went wrong is an OpsError. SIGTERM (the time limit, Ctrl-C, `techsapo down`)
arrives as KeyboardInterrupt, so that `finally` and `with` clean up. catalogue/jobs.yaml names the functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.catalogue.jobs import JobFacts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import seconds

if TYPE_CHECKING:
    from techsapo_ops.apply.history import History
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.stack import Stack

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


Operation = Callable[["JobContext"], JobResult]


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job works with. What reads the spec is a function: not every job needs it to be right."""

    layout: Layout
    stack: Callable[[], Stack]
    """Raises SpecError where the spec is wrong."""
    history: History
    tell: Callable[[str], None]


def load(operation: str) -> Operation:
    """Import `module:function` below techsapo_ops. Raises OpsError when it is not there."""
    module, _, name = operation.partition(":")
    try:
        function: Operation = getattr(import_module(f"techsapo_ops.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise OpsError(
            msg("the job's operation {operation} can't be loaded: {error}", operation=operation, error=error)
        ) from error
    return function

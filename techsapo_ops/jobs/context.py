"""What jobs are given; each capability has its own in a module `job`, which catalogue/jobs.yaml names.

A job is a function that takes a JobContext and returns a JobResult. It prints nothing: `context.tell` writes
a line into the run's log. What went wrong is an OpsError. SIGTERM (the time limit, Ctrl-C, `techsapo down`)
arrives as KeyboardInterrupt, so that `finally` and `with` clean up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from techsapo_ops.apply.history import History
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobResult
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Stack

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
        found: Operation = getattr(import_module(f"techsapo_ops.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise OpsError(
            msg("the job's operation {operation} can't be loaded: {error}", operation=operation, error=error)
        ) from error
    return found

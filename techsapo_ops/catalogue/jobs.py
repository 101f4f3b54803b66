"""The jobs that can be scheduled, loaded from jobs.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from techsapo_ops.catalogue.yaml_text import packaged_table


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One entry of jobs.yaml; the file's head explains each key. Times are in seconds."""

    name: str
    operation: str
    timeout: float
    retries: int
    retry_wait: float
    title: Mapping[str, str]
    at_backups: bool = False


@cache
def jobs() -> Mapping[str, JobFacts]:
    """Every job by name, in the order of jobs.yaml."""
    return packaged_table("jobs.yaml", JobFacts)

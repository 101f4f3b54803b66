"""The jobs that can be scheduled, loaded from jobs.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.catalogue.yaml_text import packaged_yaml


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


def _facts(name: str, entry: dict[str, Any]) -> JobFacts:
    return JobFacts(
        name=name,
        operation=entry["operation"],
        timeout=float(entry["timeout"]),
        retries=int(entry["retries"]),
        retry_wait=float(entry["retry_wait"]),
        title=MappingProxyType(entry["title"]),
        at_backups=bool(entry.get("at_backups", False)),
    )


@cache
def jobs() -> Mapping[str, JobFacts]:
    """Every job by name, in the order of jobs.yaml."""
    return MappingProxyType({name: _facts(name, entry) for name, entry in packaged_yaml("jobs.yaml").items()})

"""Jobs and their runs, as `techsapo jobs` shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from techsapo_ops.catalogue.jobs import jobs

if TYPE_CHECKING:
    from datetime import datetime

    from techsapo_ops.jobs.runs import Run
    from techsapo_ops.jobs.status import JobStatus


def clock(time: datetime | None) -> str:
    """By this host's clock."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}" if time is not None else "-"


def took(run: Run | None) -> str:
    """How long a run took."""
    return f"{run.seconds:.1f} s" if run is not None and run.seconds is not None else "-"


def run_json(run: Run, log: str | None = None) -> dict[str, Any]:
    """One run as plain data."""
    value = {**asdict(run), "started": run.started.isoformat()}
    return value if log is None else {**value, "log": log}


def status_json(found: JobStatus) -> dict[str, Any]:
    """A job, when it runs next and how it went, as plain data."""
    job = found.job
    return {
        "name": job.name,
        "title": jobs()[job.name].title["en"],
        "schedule": job.at,
        "next": found.next.isoformat() if found.next is not None else None,
        "timeout": job.timeout,
        "retries": job.retries,
        "retry_wait": job.retry_wait,
        "last": run_json(found.last) if found.last is not None else None,
        "last_success": found.last_success.started.isoformat() if found.last_success is not None else None,
        "missed": found.missed.isoformat() if found.missed is not None else None,
    }

"""What several commands read out of an option's text, and the names that a shell offers for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import typer

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project


LENGTHS = msg("write e.g. 30m, 2h or 90d")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TIMES = msg("write e.g. 90s, 1h, 2d or 2026-01-31T08:00")


def span_of(option: str, text: str, hint: str = LENGTHS) -> timedelta:
    """A length of time such as `90s`, `1h30m` or `90d`.

    Raises OpsError with exit code 2 for anything else, and for one whose end no calendar holds.
    """
    from techsapo_ops.spec.models.base import seconds  # with all of the spec, which `logs` does without

    try:
        span = timedelta(seconds=seconds(text))
        _ = (datetime.now(UTC) + span, datetime.now(UTC) - span)
    except (ValueError, OverflowError) as error:
        # A ValueError hints at lengths of other things.
        unreadable = isinstance(error, ValueError)
        what = str(error).partition("; ")[0] if unreadable else msg("the duration is too long")
        raise OpsError(
            msg("{option}: {what}", option=option, what=what),
            hint,
            exit_code=2,
        ) from None
    return span


def moment(text: str, now: datetime | None = None) -> datetime:
    """The time of `--since`: an age (`1h`, `1h30m`), an ISO date or time (local without a zone), or a day of
    the week: when the last one began, which may be today's.

    Raises OpsError with exit code 2 for anything else.
    """
    if text.lower() in _DAYS:
        here = (now or datetime.now(UTC)).astimezone()
        day = here.date() - timedelta(days=(here.weekday() - _DAYS.index(text.lower())) % 7)
        return datetime.combine(day, datetime.min.time()).astimezone()
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return (now or datetime.now(UTC)) - span_of("--since", text, TIMES)


def time_of(option: str, text: str) -> datetime:
    """An ISO date or time (local without a zone), in UTC.

    Raises OpsError with exit code 2 for anything else.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day have no time in every zone
        raise OpsError(
            msg("{option}: {text} is not a time", option=option, text=repr(text)),
            msg("write e.g. 2026-01-31T14:05:00 or 2026-01-31T14:05:00+09:00"),
            exit_code=2,
        ) from None


What = Literal["services", "backups", "jobs", "alerts", "certificates", "hosts"]
_SAFE = re.compile(r"[\w@%+=:,./-]{1,200}")
"""zsh evaluates what it is offered."""


def completes(what: What) -> Callable[[typer.Context, str], list[str]]:
    """What Typer asks for the names that begin with a word. There are none where the spec can't be read."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            names = _FIXED[what]() if what in _FIXED else _OF_PROJECT[what](_project(ctx))
        except (OpsError, OSError):
            return []
        return [
            name for name in dict.fromkeys(names) if name.startswith(incomplete) and _SAFE.fullmatch(name)
        ]

    return complete


def _project(ctx: typer.Context) -> Project:
    from techsapo_ops.cli.place import find
    from techsapo_ops.cli.project import open_project

    return open_project(find(ctx.params.get("file")).path)


def _alerts() -> Iterable[str]:
    from techsapo_ops.catalogue.alerts import alerts

    return alerts()


def _jobs() -> Iterable[str]:
    from techsapo_ops.catalogue.jobs import jobs

    return jobs()


def _services(project: Project) -> Iterable[str]:
    from techsapo_ops.cli.open_stack import open_stack

    services = open_stack(project).topology.services
    return [*(service.name for service in services), *(service.kind for service in services)]


def _backups(project: Project) -> Iterable[str]:
    from techsapo_ops.backup.repository.folder import repository_of
    from techsapo_ops.cli.open_stack import open_stack

    return ["latest", *(backup.id for backup in reversed(repository_of(open_stack(project)).backups()))]


_FIXED: dict[str, Callable[[], Iterable[str]]] = {"alerts": _alerts, "jobs": _jobs}
_OF_PROJECT: dict[str, Callable[[Project], Iterable[str]]] = {
    "services": _services,
    "backups": _backups,
    "certificates": lambda project: project.spec.certificates,
    "hosts": lambda project: project.spec.hosts,
}

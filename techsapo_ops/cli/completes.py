"""The names that a shell offers for an argument or option: `autocompletion=completes("services")`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import typer

from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project

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

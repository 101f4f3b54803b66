"""Makes what a shell completes from: the names of the package, and those of one project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from techsapo_ops.errors import OpsError

_DEEPEST = 4
"""Parts of a field's path that are offered."""


def static_names() -> dict[str, list[str]]:
    """The names that are the same in each project."""
    from techsapo_ops.catalogue.alerts import alerts
    from techsapo_ops.catalogue.jobs import jobs
    from techsapo_ops.operations.addresses import page_names

    return {
        "alerts": sorted(alerts()), "jobs": list(jobs()), "fields": _fields(), "pages": list(page_names()),
    }  # fmt: skip


def _fields() -> list[str]:
    """Dotted paths of the spec."""
    from techsapo_ops.spec.describe import explain

    found: list[str] = []

    def walk(path: str, depth: int) -> None:
        for child in explain(path).children:
            below = f"{path}.{child.key}" if path else child.key
            found.append(below)
            if depth < _DEEPEST:
                try:
                    walk(below, depth + 1)
                except OpsError:  # a name of the user's choice stands there
                    continue

    walk("", 1)
    return found


def index_of_project(spec: Path) -> dict[str, Any] | None:
    """The names of the project of `spec`; None where it can't be read."""
    from techsapo_ops.backup.repository import repository_of
    from techsapo_ops.cli.open_stack import open_stack
    from techsapo_ops.cli.project import open_project
    from techsapo_ops.operations.secrets import kept_secrets
    from techsapo_ops.spec.source import parse

    try:
        project = open_project(spec)
        stack = open_stack(project)
        services = stack.topology.services
        secrets = [secret.name for secret in kept_secrets(stack.topology)]
        folder = str(repository_of(stack).path)
        written = parse(spec.read_bytes(), spec.name).data  # which overlays there are, a loaded spec forgets
    except (OpsError, OSError):
        return None
    return {
        "services": list(dict.fromkeys([*(s.name for s in services), *(s.kind for s in services)])),
        "certificates": list(project.spec.certificates),
        "environments": list(written.get("environments") or {}),
        "secrets": secrets,
        "hosts": list(project.spec.hosts),
        "backup_folder": folder,
    }

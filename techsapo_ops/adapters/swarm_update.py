"""How an update of a service of Docker Swarm goes: whether it came to its end, and what holds it up.

Swarm waits without end for what will not come: an update that starts the new task first, of a service with a
port of its node's, stays "updating" for ever, and `docker service ls` shows one task of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from techsapo_ops.adapters.container_facts import docker_time
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


class Progress(StrEnum):
    """Where an update is."""

    CONVERGED = "converged"
    """What is wanted runs."""
    UPDATING = "updating"
    STUCK = "stuck"
    """Swarm goes on trying, and says why it can't."""
    PAUSED = "paused"
    """Swarm has given up, and left what it had done."""
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    """What ran before runs again."""


@dataclass(frozen=True, slots=True)
class UpdateState:
    """`reason` is what Swarm says of the task that holds it up or has failed; `since` is when that began."""

    progress: Progress
    reason: str = ""
    since: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more comes of waiting."""
        return self.progress is not Progress.UPDATING and self.progress is not Progress.ROLLING_BACK


_SAID = {
    "updating": Progress.UPDATING,
    "paused": Progress.PAUSED,
    "rollback_started": Progress.ROLLING_BACK,
    "rollback_paused": Progress.PAUSED,
    "rollback_completed": Progress.ROLLED_BACK,
}
_WANTED = {"running", "ready"}
_WAITS = {"new", "pending", "rejected"}
"""States of a task that has no place yet, or can't have it."""
_ALIVE = {"starting", "running"}
_FAILED = {"failed", "rejected", "orphaned"}


def update_state(service: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> UpdateState:
    """What `docker service inspect` says of a service, with `docker inspect --type task` of its tasks."""
    held = next((t for t in tasks if t["DesiredState"] in _WANTED and _is_held(t)), None)
    if held is not None and _awaited(tasks):
        return UpdateState(Progress.UPDATING)
    if held is not None:
        return UpdateState(Progress.STUCK, held["Status"]["Err"], _since(held["CreatedAt"]))
    said = service.get("UpdateStatus") or {}
    progress = _SAID.get(said.get("State", ""))
    if progress is None:
        running = all(t["Status"]["State"] == "running" for t in tasks if t["DesiredState"] in _WANTED)
        return UpdateState(Progress.CONVERGED if running else Progress.UPDATING)
    failed = next((t for t in _newest_first(tasks) if t["Status"]["State"] in _FAILED), None)
    reason = failed["Status"].get("Err", "") if failed is not None else ""
    if progress is Progress.UPDATING:
        reason = ""  # a failure is of before, or Swarm will say so
    return UpdateState(progress, reason, _since(said.get("StartedAt", "")))


def update_states(manager: Docker, services: Sequence[str]) -> dict[str, UpdateState]:
    """How the updates of these services go, by full name, asked of a manager; one that is gone is left out.

    Raises OpsError where the manager does not answer.
    """
    if not services:
        return {}
    done = manager.attempt("service", "inspect", *services)
    if done.code != 0 and b"no such service" not in done.stderr.lower():
        raise OpsError(msg("`docker service inspect` failed: {said}", said=manager.words(done)))
    found = json.loads(done.stdout or b"[]")
    names = {entry["ID"]: entry["Spec"]["Name"] for entry in found}
    listed = manager.attempt("service", "ps", "--quiet", "--no-trunc", *names.values()) if names else None
    ids = dict.fromkeys(listed.stdout.decode().split()) if listed is not None else {}
    # A task may be gone before it is looked at.
    tasks = json.loads(manager.attempt("inspect", "--type", "task", *ids).stdout or b"[]") if ids else []
    return {
        names[entry["ID"]]: update_state(entry, [t for t in tasks if t["ServiceID"] == entry["ID"]])
        for entry in found
    }


def _is_held(task: Mapping[str, Any]) -> bool:
    return task["Status"]["State"] in _WAITS and bool(task["Status"].get("Err"))


def _awaited(tasks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one was told to end and has not: till then it may have the port that the next one waits for."""
    return any(t["DesiredState"] not in _WANTED and t["Status"]["State"] in _ALIVE for t in tasks)


def _newest_first(tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(tasks, key=lambda task: str(task["CreatedAt"]), reverse=True)


def _since(text: str) -> datetime | None:
    found = docker_time(text) if text else None
    return found.astimezone(UTC) if found is not None else None

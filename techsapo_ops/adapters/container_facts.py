"""What the Docker daemon tells of a container, and the labels by which a stack knows its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

PROJECT = "com.docker.compose.project"
VOLUME = "com.docker.compose.volume"
SERVICE = "com.docker.compose.service"
DEFINITION = "com.docker.compose.config-hash"
VERSION = "com.docker.compose.version"
FOLDER = "com.docker.compose.project.working_dir"
STACK = "com.docker.stack.namespace"
STACK_SERVICE = "com.docker.swarm.service.name"
STACK_DEFINITION = "techsapo.definition"
"""Label of a container of a Swarm service: the digest of all that it was deployed with."""
BUILD = "techsapo.build"
"""Label of an image made of this package: the build that is in it, see adapters.build."""
_ONE_OFF = "com.docker.compose.oneoff"


@dataclass(frozen=True, slots=True)
class Published:
    """A port of this host that leads into a container."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container of a compose project, as the daemon knows it.

    `state` is Docker's word: created, running, paused, restarting, removing, exited or dead. `health` is
    healthy, unhealthy, starting, or empty where it has no health check; `said` is what that check printed
    last, `check` the command that it runs inside.
    """

    id: str
    name: str
    project: str
    service: str
    folder: Path
    """The project directory that it was made from."""
    state: str
    image: str
    reference: str
    """The image as its definition names it; `image` is that image's id."""
    definition: str
    pid: int | None = None
    started: datetime | None = None
    exit_code: int | None = None
    error: str = ""
    """Why Docker could not start it, such as a port that somebody else has."""
    restarts: int = 0
    oom: bool = False
    """Whether the kernel killed a process of it because its memory was used up."""
    user: str = ""
    health: str = ""
    said: str = ""
    check: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    compose: str = ""
    """Version of the Docker Compose that made it."""
    build: str | None = None
    """Which build of this package its image says that it holds."""
    created: str = ""
    """When it was made, as Docker writes it: of two, the later one is greater."""
    of_swarm: bool = False
    """Whether it is a task's of Docker Swarm."""

    @property
    def running(self) -> bool:
        """Whether its process runs now."""
        return self.state == "running"


def container_facts(entry: Mapping[str, Any]) -> ContainerFacts | None:
    """What `docker container inspect` says of one container; None for one that `docker compose run` made."""
    config, state = entry["Config"], entry["State"]
    labels = config.get("Labels") or {}
    if labels.get(_ONE_OFF) == "True":
        return None
    health = state.get("Health") or {}
    log = health.get("Log") or []
    test = (config.get("Healthcheck") or {}).get("Test") or []
    running = state["Status"] in {"running", "paused"}
    return ContainerFacts(
        id=entry["Id"],
        name=entry["Name"].lstrip("/"),
        # Swarm's first: an image that Compose has built hands Compose's labels on to every container.
        project=labels.get(STACK, labels.get(PROJECT, "")),
        service=labels[STACK_SERVICE].removeprefix(f"{labels.get(STACK, '')}_")
        if STACK_SERVICE in labels
        else labels.get(SERVICE, ""),
        folder=Path(labels.get(FOLDER, "/")),
        state=state["Status"],
        image=entry["Image"],
        reference=config["Image"],
        definition=labels.get(STACK_DEFINITION, labels.get(DEFINITION, "")),
        pid=state["Pid"] if running and state["Pid"] else None,
        started=docker_time(state["StartedAt"]) if running else None,
        exit_code=None if running else state["ExitCode"],
        error="" if running else state.get("Error", ""),
        restarts=entry["RestartCount"],
        oom=bool(state.get("OOMKilled")),
        user=config.get("User", ""),
        health=health.get("Status", "") if health.get("Status") != "none" else "",
        said=log[-1]["Output"].strip() if log else "",
        check=_check(test),
        published=tuple(_published(entry)),
        compose=labels.get(VERSION, ""),
        build=labels.get(BUILD),
        created=entry.get("Created", ""),
        of_swarm=STACK in labels,
    )


def _check(test: Sequence[str]) -> tuple[str, ...]:
    if test[:1] == ["CMD"]:
        return tuple(test[1:])
    return ("/bin/sh", "-c", test[1]) if test[:1] == ["CMD-SHELL"] else ()


def _published(entry: Mapping[str, Any]) -> Iterable[Published]:
    # From the wish, not from the network: a container that is stopped shows none there.
    for bindings in (entry["HostConfig"].get("PortBindings") or {}).values():
        for binding in bindings or ():
            if binding.get("HostPort"):
                yield Published(binding.get("HostIp") or "0.0.0.0", int(binding["HostPort"]))  # noqa: S104 - compared


def docker_time(text: str) -> datetime | None:
    """A time as Docker writes it; None for year 1, which is never, and for what is no such time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None and time.year > 1 else None

"""What a service needs to run in its official image, as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of this host that a container sees at `target`."""

    source: Path
    target: str
    writable: bool = False
    create: bool = False
    """Whether Docker may make it where it is not there."""
    of_machine: bool = False
    """Whether it is the machine's own, and nothing of the stack's state."""
    follows: bool = False
    """Whether the container also sees what is mounted below it later."""


@dataclass(frozen=True, slots=True)
class Package:
    """This package as it is installed, for an image that is to hold it.

    `source` is the folder with the package, its `lock` file below it and `otel_lock`, which has that extra
    too. `templates` says whether ours lie beside the package, as in a checkout (a wheel has them inside).
    `digest` is that of all that goes into an image, None where no container is made from one: then an edit of
    the package is no change of the stack.
    """

    source: Path
    lock: str
    otel_lock: str
    templates: bool
    build: str
    digest: str | None

    def tag(self, base: str, dockerfile: str) -> str:
        """Tag of an image with it: another package, base or Dockerfile is another image."""
        if self.digest is None:
            return self.build
        return hashlib.sha256(f"{self.digest}\n{base}\n{dockerfile}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Build:
    """An image that is built here: the rendered path of its Dockerfile, in its context, and the text."""

    dockerfile: str
    text: str
    image: str
    source: Path
    """Folder of the build context named `source`."""


@dataclass(frozen=True, slots=True)
class Container:
    """One service as its image runs it. `command` are the arguments after the image's entry point.

    `healthcheck` is empty where the image holds nothing to probe with (it has one static binary).
    """

    command: tuple[str, ...]
    port: int
    healthcheck: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    """What tells inside it whether it is ready, where that may not be its health check."""
    environment: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    """Folders of the rendered configuration that it reads, each below /etc/techsapo."""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Further folders of it, by name, and where the image looks for them."""
    binds: tuple[Bind, ...] = ()
    volume: str | None = None
    tmpfs: tuple[str, ...] = ("/tmp",)  # noqa: S108 - the container's own
    memory_mb: int = 128
    pids: int = 128
    stop_seconds: int = 10
    stop_signal: str = "TERM"
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of its definition, in compose's words."""


def wget(port: int, path: str) -> tuple[str, ...]:
    """A health check for an image with BusyBox."""
    return ("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}{path}")

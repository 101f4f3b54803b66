"""What should exist: rendered files and the processes that read them, as plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from techsapo_ops.stack.topology import Topology


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A file that render made: `path` is relative to the output folder, with `/` between its parts.

    `secret` content is never shown, diffed or logged. `owner` names the kind of service that alone
    reads the file; the engine gives the file to that service's user.
    """

    path: str
    content: str
    mode: int = 0o644
    secret: bool = False
    owner: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal."""
        return hashlib.sha256(self.content.encode()).hexdigest()


class Unit(Protocol):
    """One service as its engine runs it; what a plan needs to know of it."""

    @property
    def service(self) -> str:
        """Name of the service."""
        ...

    @property
    def fingerprint(self) -> str:
        """Digest of everything but the content of the files that it reads."""
        ...

    @property
    def defined_by(self) -> str:
        """What that digest is of, in words for the reason of a step."""
        ...

    @property
    def reload_signal(self) -> str | None:
        """Signal that makes it take over changed files; None: it has to be restarted."""
        ...

    @property
    def config(self) -> tuple[str, ...]:
        """Prefixes of the rendered paths that it reads."""
        ...

    @property
    def restart_config(self) -> tuple[str, ...]:
        """Of these, the ones that a reload does not bring in."""
        ...

    def config_digest(self, files: tuple[RenderedFile, ...]) -> str:
        """Digest of the rendered files that it reads."""
        ...


@dataclass(frozen=True, slots=True)
class Program:
    """One native process: what to start, as whom, and which rendered files it reads.

    A change of `config` files calls for `reload_signal`, or for a restart where that is None; a change
    of anything else calls for a restart.
    """

    service: str
    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    reload_signal: str | None = None
    config: tuple[str, ...] = ()
    """Prefixes of rendered paths: `prometheus/`, `secrets/app-`."""
    restart_config: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Digest of everything but the content of the configuration files."""
        value = [
            self.argv,
            sorted(self.environment.items()),
            str(self.directory),
            self.user,
            self.stop_signal,
        ]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()

    @property
    def defined_by(self) -> str:
        """See Unit.defined_by."""
        return "its command, user or environment"

    def config_digest(self, files: tuple[RenderedFile, ...]) -> str:
        """Digest of the rendered files that this program reads."""
        return _digest_of(self.config, files)


@dataclass(frozen=True, slots=True)
class ContainerUnit:
    """One container: its definition in a compose file, and which rendered files it reads.

    `definition` is the service's entry in `file` (a rendered path), of which `image` is a part. A bind mount
    of one file keeps the old one when a rename replaces it, so changed secrets (`restart_config`) call for a
    restart where changed configuration, which is mounted by its folder, calls for `reload_signal`.
    """

    service: str
    file: str
    image: str
    definition: str
    builds: bool = False
    """Whether the file says how to build `image`."""
    stop_seconds: int = 10
    reload_signal: str | None = None
    config: tuple[str, ...] = ()
    restart_config: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Digest of the definition."""
        return hashlib.sha256(f"{self.file}\n{self.definition}".encode()).hexdigest()

    @property
    def defined_by(self) -> str:
        """See Unit.defined_by."""
        return f"its entry in {self.file}"

    def config_digest(self, files: tuple[RenderedFile, ...]) -> str:
        """Digest of the rendered files that this container reads."""
        return _digest_of(self.config, files)


def _digest_of(config: tuple[str, ...], files: tuple[RenderedFile, ...]) -> str:
    read = sorted((f.path, f.digest) for f in files if f.path.startswith(config)) if config else []
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole wanted state of a stack: natively `programs`, else `containers`."""

    topology: Topology
    files: tuple[RenderedFile, ...]
    programs: tuple[Program, ...] = ()
    containers: tuple[ContainerUnit, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        """What the stack's engine runs."""
        return self.programs if self.topology.engine == "native" else self.containers

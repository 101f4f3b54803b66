"""What should exist: rendered files and the processes that read them, as plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from techsapo_ops.spec.topology import Topology


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

    def config_digest(self, files: tuple[RenderedFile, ...]) -> str:
        """Digest of the rendered files that this program reads."""
        read = (
            sorted((f.path, f.digest) for f in files if f.path.startswith(self.config)) if self.config else []
        )
        return hashlib.sha256(json.dumps(read).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole wanted state of a stack."""

    topology: Topology
    files: tuple[RenderedFile, ...]
    programs: tuple[Program, ...] = ()

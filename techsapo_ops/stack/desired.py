"""What should exist: rendered files and the units that read them, as plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
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
    """Prefixes of the rendered paths that it reads: `prometheus/`, `secrets/app-`."""
    restart_config: tuple[str, ...] = ()
    """Of these, the ones that a reload does not bring in."""

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
        """The words for a changed command."""
        return msg("the command, user or environment")

    def config_digest(self, files: tuple[RenderedFile, ...]) -> str:
        """Digest of the rendered files that this program reads."""
        return _digest_of(self.config, files)

    def differs_from(self, earlier: Unit) -> str:
        """Arguments, user and environment; nothing of a unit of another form."""
        if not isinstance(earlier, Program):
            return ""
        gone = [f"-{word}" for word in earlier.argv if word not in self.argv]
        come = [f"+{word}" for word in self.argv if word not in earlier.argv]
        words = [*gone, *come]
        if earlier.argv != self.argv and not words:
            words = [msg("the order of the arguments")]
        if earlier.user != self.user:
            words.append(
                msg(
                    "user {user} → {user2}",
                    user=earlier.user or msg("that runs techsapo"),
                    user2=self.user or msg("that runs techsapo"),
                )
            )
        if earlier.environment != self.environment:
            words.append(msg("the environment"))
        return joined(" ", words)


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
        """The words for a changed definition."""
        return msg("the entry in {file}", file=self.file)

    def config_digest(self, files: tuple[RenderedFile, ...]) -> str:
        """Digest of the rendered files that this container reads."""
        return _digest_of(self.config, files)

    def differs_from(self, earlier: Unit) -> str:  # noqa: ARG002 - the diff of its file says it
        """Nothing: its definition is a part of a rendered file, whose diff shows it."""
        return ""


Unit = Program | ContainerUnit
"""One service as its engine runs it; what a plan, a snapshot and a comparison need to know of it."""


def _digest_of(config: tuple[str, ...], files: tuple[RenderedFile, ...]) -> str:
    read = sorted((f.path, f.digest) for f in files if f.path.startswith(config)) if config else []
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole wanted state of a stack: its files, and a unit for each service."""

    topology: Topology
    files: tuple[RenderedFile, ...]
    units: tuple[Unit, ...] = ()

    @property
    def programs(self) -> dict[str, Program]:
        """Each program by the name of its service, in their order."""
        return {unit.service: unit for unit in self.units if isinstance(unit, Program)}

    @property
    def containers(self) -> dict[str, ContainerUnit]:
        """Each container by the name of its service, in their order."""
        return {unit.service: unit for unit in self.units if isinstance(unit, ContainerUnit)}

    def unit(self, service: str) -> Unit | None:
        """What runs as `service`; None where the stack has no such service."""
        return next((unit for unit in self.units if unit.service == service), None)

    def only(self, names: Collection[str]) -> Desired:
        """The same state with no other services than `names`."""
        services = tuple(s for s in self.topology.services if s.name in names)
        return replace(
            self,
            topology=replace(self.topology, services=services),
            units=tuple(u for u in self.units if u.service in names),
        )

"""What this host lacks for a stack, and putting it right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from techsapo_ops.adapters import accounts
from techsapo_ops.adapters.apt import Apt, Installed
from techsapo_ops.adapters.disk import NETWORK, file_system, human, room
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.ownership import Doubt, user_name
from techsapo_ops.adapters.ports import Holder, belongs_to, is_free, listeners
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.trust import read_allowed, trusted_users
from techsapo_ops.backup.registry import kinds as backup_kinds
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.root_trust import refusal
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.diagnosis import HostFinding, HostReport, Level
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.tool import Tool
from techsapo_ops.stack.topology import Topology

OLDEST_PYTHON = (3, 11)
APP_USER = "techsapo"
_ROOM_WARN, _ROOM_LEAST = 0.10, 0.02


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings for one stack on this host."""

    findings: tuple[HostFinding, ...]
    root: bool
    apt: bool
    """Whether packages can be installed here by apt-get."""

    @property
    def complete(self) -> bool:
        """Whether nothing that the stack needs is missing."""
        return not any(f.level is Level.MISSING for f in self.findings)

    @property
    def packages(self) -> tuple[str, ...]:
        """Debian packages that would bring what is missing, each once."""
        found = [f.package for f in self.findings if f.package and f.level in {Level.MISSING, Level.WARNING}]
        return tuple(dict.fromkeys(found))

    @property
    def wants_user(self) -> bool:
        """Whether the app's system user is to be added."""
        return any(f.topic == "user" and f.level is Level.WARNING and not f.package for f in self.findings)


def distrusted(doubts: Sequence[Doubt]) -> Diagnosis:
    """The diagnosis of a project that root must not read: why, and nothing else."""
    refused = refusal(doubts)
    findings = [HostFinding("trust", str(d.path), Level.MISSING, d.why, d.cure) for d in doubts]
    findings.append(HostFinding("trust", "root", Level.MISSING, "nothing else was looked at", refused.hint))
    return Diagnosis(tuple(findings), root=True, apt=False)


@dataclass(frozen=True, slots=True)
class Repair:
    """What `repair` did."""

    installed: Installed
    user_added: bool


_WANTED = (
    Tool("logrotate", "logrotate", "rotates logs under systemd and PM2"),
    Tool("setpriv", "util-linux", "ends services together with a killed supervisor"),
)


def _optional() -> tuple[Tool, ...]:
    own = (kind.validator for kind in kinds() if kind.validator and kind.validator.name == kind.facts.binary)
    return (
        *own,
        Tool("docker", "docker.io docker-compose", "runs the generated compose files"),
        Tool("systemd-analyze", "systemd", "checks the generated unit"),
        *(tool for kind in backup_kinds() for tool in kind.tools),
        Tool("crontab", "cron", "runs scheduled jobs"),
        Tool("node", "nodejs npm", "runs PM2, for ecosystem.config.js"),
    )


def examine(stack: Stack, host_report: HostReport, also: Iterable[HostFinding] = ()) -> Diagnosis:
    """Look at this host for `stack`; changes nothing.

    `host_report` is what its engine found of its own needs, `also` what others found.
    """
    topology, held = stack.topology, listeners()
    host = topology.host
    findings = [
        _python(),
        *host_report.findings,
        *_tools(topology, {finding.name for finding in host_report.findings}),
        *_ports(topology, held, host_report.ports),
        *_foreign(topology, held, host_report.ports),
        *_state_directory(topology.layout.state),
        *also,
        *_user(topology),
        *_trust(host),
    ]
    return Diagnosis(tuple(findings), host.root, "apt-get" in host.binaries)


def repair(diagnosis: Diagnosis, apt: Apt, runner: Runner, progress: Callable[[str], None]) -> Repair:
    """Install the packages that are missing and add the app's system user.

    Needs root and apt. Services that run are left alone, and none is started. Raises OpsError when it is
    not root, where there is no apt, and with apt's words when it fails.
    """
    if not diagnosis.root:
        raise OpsError("installing packages needs root", "run it with sudo")
    packages = diagnosis.packages
    if packages and not diagnosis.apt:
        raise OpsError(
            "there is no apt-get here",
            f"install by your system's means: {', '.join(packages)} (Debian's names)",
        )
    user_added = False
    if diagnosis.wants_user:
        progress(f"adding system user {APP_USER}")
        accounts.add(APP_USER, runner)
        user_added = True
    installed = apt.install(packages, progress) if packages else Installed((), (), ())
    return Repair(installed, user_added)


def _python() -> HostFinding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info[:2] >= OLDEST_PYTHON
    return HostFinding(
        "python",
        "python",
        Level.OK if good else Level.MISSING,
        f"{version} at {sys.executable}",
        "" if good else f"needs Python {'.'.join(str(n) for n in OLDEST_PYTHON)} or newer",
    )


def _trust(host: HostFacts) -> Iterator[HostFinding]:
    """Whose files root reads here; whether others may change them was looked at before the spec was read."""
    if host.root:
        users = ", ".join(map(user_name, sorted(trusted_users(os.environ))))
        allowed = [str(entry.folder) for entry in read_allowed()]
        more = f", and others in {', '.join(allowed)}" if allowed else ""
        yield HostFinding("trust", "root", Level.OK, f"can be changed by {users} alone{more}")


def _tools(topology: Topology, told: Collection[str]) -> Iterator[HostFinding]:
    """Programs beside the services; `told` are those that their engine told of."""
    have = topology.host.binaries
    running = {service.facts.binary for service in topology.services}
    # Where images hold the services they hold these too, and their engine rotates logs.
    needed = (
        ()
        if topology.places.from_images
        else (*sorted(_validators(topology), key=attrgetter("package")), *_WANTED)
    )
    for tool in needed:
        if tool.name in have:
            yield HostFinding("tool", tool.name, Level.OK, have[tool.name])
        else:
            detail, remedy = f"{tool.purpose}; not on PATH", f"Debian package {tool.package}"
            yield HostFinding("tool", tool.name, Level.WARNING, detail, remedy, tool.package)
    for tool in _optional():
        if tool.name in running or tool.name in told:
            continue
        if tool.name in have:
            yield HostFinding("tool", tool.name, Level.OK, have[tool.name])
        else:
            remedy = f"Debian package {tool.package}"
            yield HostFinding("tool", tool.name, Level.NOTE, f"{tool.purpose}; optional, not on PATH", remedy)


def _validators(topology: Topology) -> Iterator[Tool]:
    """What checks the files of the stack's services, where that is not the service's own program."""
    for kind in kinds():
        tool = kind.validator
        if tool is not None and tool.name != kind.facts.binary and topology.has(kind.name):
            yield tool


def _wanted_ports(topology: Topology) -> Iterator[tuple[int, Service]]:
    for service in topology.services:
        if topology.published(service):
            yield from ((port, service) for _, port in kind_of(service).ports(topology, service))


def _ports(topology: Topology, held: Mapping[int, Holder], own: Collection[int]) -> Iterator[HostFinding]:
    for port, service in _wanted_ports(topology):
        name = f"port {port}"
        holder = held.get(port)
        if is_free(listen_host(service.host), port):
            yield HostFinding("port", name, Level.OK, f"free, for {service.name}")
        elif holder is None:
            yield HostFinding(
                "port",
                name,
                Level.MISSING,
                f"{service.name} can't listen on {service.host}:{port}",
                "ports below 1024 need root; is the address one of this host?",
            )
        elif _ours(topology, port, holder, own):
            yield HostFinding("port", name, Level.OK, f"{service.name} of this stack: {holder}")
        else:
            yield HostFinding(
                "port",
                name,
                Level.MISSING,
                f"wanted by {service.name}, taken by {holder}",
                _how_to_free(service, holder),
            )


def _how_to_free(service: Service, holder: Holder) -> str:
    setting = kind_of(service).setting_of(service)
    if holder.pid is None:
        return f"run as root to see which process it is, or set another {setting}"
    return f"stop that process, or set another {setting}"


def _foreign(topology: Topology, held: Mapping[int, Holder], own: Collection[int]) -> Iterator[HostFinding]:
    """Services on their well-known ports that are not this stack's, such as those of Debian's packages."""
    wanted = {port for port, _ in _wanted_ports(topology)}
    for kind in kinds():
        facts = kind.facts
        holder = held.get(facts.port)
        if facts.binary is None or holder is None or facts.port in wanted:
            continue
        if _ours(topology, facts.port, holder, own):
            continue
        detail = f"{facts.title}'s port {facts.port} is used by {holder}; it is left alone"
        yield HostFinding("running", facts.kind, Level.NOTE, detail)


def _ours(topology: Topology, port: int, holder: Holder, own: Collection[int]) -> bool:
    return port in own or (holder.pid is not None and belongs_to(holder.pid, topology.layout.state))


def _state_directory(state: Path) -> Iterator[HostFinding]:
    try:
        found = room(state)
    except OSError as error:
        yield HostFinding("state", "state directory", Level.MISSING, f"{state}: {error.strerror}")
        return
    kind = file_system(state)
    where = (
        f"{state} on {kind or 'an unknown file system'}, {human(found.free_bytes)} free ({found.free:.0%})"
    )
    if found.read_only:
        yield HostFinding(
            "state", "state directory", Level.MISSING, f"{where}: read-only", "remount it read-write"
        )
    elif not os.access(found.directory, os.W_OK | os.X_OK):
        remedy = f"become the owner of {found.directory}, or move the spec"
        yield HostFinding("state", "state directory", Level.MISSING, f"{where}: not writable", remedy)
    elif min(found.free, found.free_inodes) < _ROOM_LEAST:
        yield HostFinding("state", "state directory", Level.MISSING, f"{where}: full", "make room")
    elif min(found.free, found.free_inodes) < _ROOM_WARN:
        yield HostFinding("state", "state directory", Level.WARNING, f"{where}: nearly full", "make room")
    elif kind in NETWORK:
        remedy = "databases and sockets want a local disk; move the spec to one"
        yield HostFinding(
            "state", "state directory", Level.WARNING, f"{where}: a network file system", remedy
        )
    else:
        yield HostFinding("state", "state directory", Level.OK, where)


def _user(topology: Topology) -> Iterator[HostFinding]:
    host: HostFacts = topology.host
    if not topology.places.starts_as_root(host):
        return
    name = f"user {APP_USER}"
    if not accounts.exists(APP_USER):
        detail = "there is none, so the app keeps running as root"
        yield HostFinding("user", name, Level.WARNING, detail, "`techsapo doctor --fix` adds it")
    elif APP_USER not in host.users:
        detail = f"can't reach {topology.layout.state}, so the app runs as root"
        yield HostFinding(
            "user", name, Level.NOTE, detail, "put the project where other users may enter, e.g. /srv"
        )
    elif APP_USER not in host.app_users:
        detail = f"can't run {host.python}, so the app runs as root"
        yield HostFinding(
            "user",
            name,
            Level.NOTE,
            detail,
            "install with a Python that all users may run, e.g. /usr/bin/python3",
        )
    else:
        yield HostFinding("user", name, Level.OK, "runs the app")

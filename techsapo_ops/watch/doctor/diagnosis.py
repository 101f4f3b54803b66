"""What this host lacks for a stack, its ports too, and putting it right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from techsapo_ops.adapters.apt import Apt, Installed
from techsapo_ops.adapters.held import Holder, belongs_to, is_free, listeners
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.resources import NETWORK, file_system, human, room
from techsapo_ops.adapters.strict_modes import UntrustedError, user_name
from techsapo_ops.adapters.trusted_users import trusted_users
from techsapo_ops.adapters.users import add_user, user_exists
from techsapo_ops.backup.kinds.registry import kinds as backup_kinds
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.health import HostFinding, HostReport, Level
from techsapo_ops.stack.service import Service, Tool
from techsapo_ops.stack.stack import Stack
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
        names = [f.package for f in self.findings if f.package and f.level in {Level.MISSING, Level.WARNING}]
        return tuple(dict.fromkeys(names))

    @property
    def wants_user(self) -> bool:
        """Whether the app's system user is to be added."""
        return any(f.topic == "user" and f.level is Level.WARNING and not f.package for f in self.findings)


def distrusted(refused: UntrustedError) -> Diagnosis:
    """The diagnosis of a project that others can change: why it is not read, and nothing else."""
    findings = [HostFinding("trust", str(f.path), Level.MISSING, f.why, f.fix) for f in refused.faults]
    said = msg("nothing else was checked")
    findings.append(HostFinding("trust", "root", Level.MISSING, said, refused.hint))
    return Diagnosis(tuple(findings), root=os.geteuid() == 0, apt=False)


@dataclass(frozen=True, slots=True)
class Repair:
    """What `repair` did."""

    installed: Installed
    user_added: bool


_WANTED = (
    Tool("logrotate", "logrotate", msg("rotates logs under systemd and PM2")),
    Tool("setpriv", "util-linux", msg("stops the services when the supervisor is killed")),
)


def _optional() -> tuple[Tool, ...]:
    own = (kind.validator for kind in kinds() if kind.validator and kind.validator.name == kind.facts.binary)
    return (
        *own,
        Tool("docker", "docker.io docker-compose", msg("runs the generated compose files")),
        Tool("systemd-analyze", "systemd", msg("checks the generated systemd unit")),
        *(tool for kind in backup_kinds() for tool in kind.tools),
        Tool("crontab", "cron", msg("runs scheduled jobs")),
        Tool("node", "nodejs npm", msg("runs PM2, for ecosystem.config.js")),
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
        *ports(topology, held, host_report.ports),
        *foreign(topology, held, host_report.ports),
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
        raise OpsError(msg("installing packages needs root"), msg("run this command with sudo"))
    packages = diagnosis.packages
    if packages and not diagnosis.apt:
        raise OpsError(
            msg("this host has no apt-get"),
            msg(
                "install these packages with your system's package manager (Debian names): {packages}",
                packages=", ".join(packages),
            ),
        )
    user_added = False
    if diagnosis.wants_user:
        progress(msg("adding system user {user}", user=APP_USER))
        add_user(APP_USER, runner)
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
        msg("{version} at {executable}", version=version, executable=sys.executable),
        ""
        if good
        else msg(
            "needs Python {oldest_python} or newer", oldest_python=".".join(str(n) for n in OLDEST_PYTHON)
        ),
    )


def _trust(host: HostFacts) -> Iterator[HostFinding]:
    """Whose files root reads here; whether others may change them was looked at before the spec was read."""
    if host.root:
        users = ", ".join(map(user_name, sorted(trusted_users())))
        yield HostFinding(
            "trust", "root", Level.OK, msg("only {users} can change the project's files", users=users)
        )


def _tools(topology: Topology, known: Collection[str]) -> Iterator[HostFinding]:
    """Programs beside the services; `known` are those that their engine reports."""
    have = topology.host.binaries
    running = {service.facts.binary for service in topology.services}
    # Where images hold the services they hold these too, and their engine rotates logs.
    needed = (
        ()
        if topology.places.from_images
        else (*sorted(_validators(topology), key=attrgetter("package")), *_WANTED)
    )
    optional = (tool for tool in _optional() if tool.name not in running and tool.name not in known)
    for tool, wanted in (*((tool, True) for tool in needed), *((tool, False) for tool in optional)):
        if tool.name in have:
            yield HostFinding("tool", tool.name, Level.OK, have[tool.name])
            continue
        remedy = msg("Debian package {package}", package=tool.package)
        if wanted:
            detail = msg("{purpose}; not on PATH", purpose=tool.purpose)
            yield HostFinding("tool", tool.name, Level.WARNING, detail, remedy, tool.package)
        else:
            detail = msg("{purpose}; optional, not on PATH", purpose=tool.purpose)
            yield HostFinding("tool", tool.name, Level.NOTE, detail, remedy)


def _validators(topology: Topology) -> Iterator[Tool]:
    """What checks the files of the stack's services, where that is not the service's own program."""
    for kind in kinds():
        tool = kind.validator
        if tool is not None and tool.name != kind.facts.binary and topology.has(kind.name):
            yield tool


def _state_directory(state: Path) -> Iterator[HostFinding]:
    def finding(level: Level, detail: str, remedy: str = "") -> HostFinding:
        return HostFinding("state", "state directory", level, detail, remedy)

    try:
        disk = room(state)
    except OSError as error:
        yield finding(Level.MISSING, f"{state}: {error.strerror}")
        return
    kind = file_system(state)
    where = msg(
        "{state} on {kind}, {free_bytes} free ({free:.0%})",
        state=state,
        kind=kind or msg("an unknown file system"),
        free_bytes=human(disk.free_bytes),
        free=disk.free,
    )
    left = min(disk.free, disk.free_inodes)
    if disk.read_only:
        yield finding(
            Level.MISSING, msg("{where}: read-only", where=where), msg("remount this file system read-write")
        )
    elif not os.access(disk.directory, os.W_OK | os.X_OK):
        remedy = msg(
            "become the owner of {directory}, or move the spec to another folder", directory=disk.directory
        )
        yield finding(Level.MISSING, msg("{where}: not writable", where=where), remedy)
    elif left < _ROOM_LEAST:
        yield finding(Level.MISSING, msg("{where}: full", where=where), msg("make room on this file system"))
    elif left < _ROOM_WARN:
        yield finding(
            Level.WARNING, msg("{where}: nearly full", where=where), msg("make room on this file system")
        )
    elif kind in NETWORK:
        remedy = msg("databases and sockets need a local disk; move the spec's folder to a local disk")
        yield finding(Level.WARNING, msg("{where}: a network file system", where=where), remedy)
    else:
        yield finding(Level.OK, where)


def _user(topology: Topology) -> Iterator[HostFinding]:
    host: HostFacts = topology.host
    if not topology.places.starts_as_root(host):
        return

    def finding(level: Level, detail: str, remedy: str = "") -> HostFinding:
        return HostFinding("user", f"user {APP_USER}", level, detail, remedy)

    if not user_exists(APP_USER):
        detail = msg("this user does not exist, so the app keeps running as root")
        yield finding(Level.WARNING, detail, msg("`techsapo doctor --fix` adds this user"))
    elif APP_USER not in host.users:
        detail = msg("this user can't reach {state}, so the app runs as root", state=topology.layout.state)
        yield finding(Level.NOTE, detail, msg("put the project where other users have access, e.g. /srv"))
    elif APP_USER not in host.app_users:
        detail = msg("this user can't run {python}, so the app runs as root", python=host.python)
        remedy = msg("install techsapo with a Python that all users may run, e.g. /usr/bin/python3")
        yield finding(Level.NOTE, detail, remedy)
    else:
        yield finding(Level.OK, msg("runs the app"))


def _wanted_ports(topology: Topology) -> Iterator[tuple[int, Service]]:
    for service in topology.services:
        if topology.published(service):
            yield from ((port, service) for _, port in kind_of(service).ports(topology, service))


def ports(topology: Topology, held: Mapping[int, Holder], own: Collection[int]) -> Iterator[HostFinding]:
    """Whether the stack's services can have their ports; `held` are those that something listens on."""
    for port, service in _wanted_ports(topology):
        holder, level, remedy = held.get(port), Level.OK, ""
        if is_free(listen_host(service.host), port):
            detail = msg("free, for {service}", service=service.name)
        elif holder is None:
            level = Level.MISSING
            detail = msg(
                "{service} can't listen on {host}:{port}", service=service.name, host=service.host, port=port
            )
            remedy = msg(
                "ports below 1024 need root; for other ports, check that the address belongs to this host"
            )
        elif _ours(topology, port, holder, own):
            detail = msg("used by {service} of this stack: {holder}", service=service.name, holder=holder)
        else:
            level = Level.MISSING
            detail = msg("needed by {service}, in use by {holder}", service=service.name, holder=holder)
            remedy = _how_to_free(service, holder)
        yield HostFinding("port", f"port {port}", level, detail, remedy)


def _how_to_free(service: Service, holder: Holder) -> str:
    setting = kind_of(service).setting_of(service)
    if holder.pid is None:
        return msg(
            "run as root to see which process uses the port, or set another port: {setting}", setting=setting
        )
    return msg("stop that process, or set another port: {setting}", setting=setting)


def foreign(topology: Topology, held: Mapping[int, Holder], own: Collection[int]) -> Iterator[HostFinding]:
    """Services on their well-known ports that are not this stack's, such as those of Debian's packages."""
    wanted = {port for port, _ in _wanted_ports(topology)}
    for kind in kinds():
        facts = kind.facts
        holder = held.get(facts.port)
        if facts.binary is None or holder is None or facts.port in wanted:
            continue
        if _ours(topology, facts.port, holder, own):
            continue
        detail = msg(
            "{title}'s usual port {port} is used by {holder}, which does not belong to this stack",
            title=facts.title,
            port=facts.port,
            holder=holder,
        )
        yield HostFinding("running", facts.kind, Level.NOTE, detail)


def _ours(topology: Topology, port: int, holder: Holder, own: Collection[int]) -> bool:
    return port in own or (holder.pid is not None and belongs_to(holder.pid, topology.layout.state))

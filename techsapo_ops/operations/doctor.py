"""What this host lacks for a stack, and putting it right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
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
from techsapo_ops.engines.choice import OLDEST_DAEMON, too_old
from techsapo_ops.engines.compose.facts import DockerFacts
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.root_trust import refusal
from techsapo_ops.services.registry import facts as services
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.tool import Tool
from techsapo_ops.stack.topology import Topology

OLDEST_PYTHON = (3, 11)
APP_USER = "techsapo"
_ROOM_WARN, _ROOM_LEAST = 0.10, 0.02


class Level(StrEnum):
    """How a finding counts; only `missing` keeps the stack from being complete."""

    OK = "ok"
    NOTE = "note"
    """Good to know."""
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the host; `remedy` says what to do, `package` is the Debian package that helps."""

    topic: str
    name: str
    level: Level
    detail: str
    remedy: str = ""
    package: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings for one stack on this host."""

    findings: tuple[Finding, ...]
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
    findings = [Finding("trust", str(d.path), Level.MISSING, d.why, d.cure) for d in doubts]
    findings.append(Finding("trust", "root", Level.MISSING, "nothing else was looked at", refused.hint))
    return Diagnosis(tuple(findings), root=True, apt=False)


@dataclass(frozen=True, slots=True)
class Repair:
    """What `repair` did."""

    installed: Installed
    user_added: bool


_VALIDATORS = {
    "prometheus": Tool("promtool", "prometheus", "checks the generated Prometheus files"),
    "alertmanager": Tool("amtool", "prometheus-alertmanager", "checks the generated alertmanager.yml"),
}
_WANTED = (
    Tool("logrotate", "logrotate", "rotates logs under systemd and PM2"),
    Tool("setpriv", "util-linux", "ends services together with a killed supervisor"),
)


def _optional() -> tuple[Tool, ...]:
    return (
        Tool("nginx", "nginx", "checks the generated nginx.conf"),
        Tool("docker", "docker.io docker-compose", "runs the generated compose files"),
        Tool("systemd-analyze", "systemd", "checks the generated unit"),
        *(tool for kind in backup_kinds() for tool in kind.tools),
        Tool("crontab", "cron", "runs scheduled jobs"),
        Tool("node", "nodejs npm", "runs PM2, for ecosystem.config.js"),
    )


def examine(
    spec: Spec, topology: Topology, docker: DockerFacts | None = None, also: Iterable[Finding] = ()
) -> Diagnosis:
    """Look at this host for the stack of `spec` as `topology` resolved it; changes nothing.

    `docker` is what Docker offers to a stack of the compose engine, `also` what others found.
    """
    if topology.engine == "compose":
        docker = docker or DockerFacts()
    held = listeners()
    host = topology.host
    findings = [
        _python(),
        *(_services(topology) if docker is None else _docker(topology, docker)),
        *_tools(topology),
        *_ports(spec, topology, held, docker),
        *_foreign(spec, topology, held, docker),
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


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info[:2] >= OLDEST_PYTHON
    return Finding(
        "python",
        "python",
        Level.OK if good else Level.MISSING,
        f"{version} at {sys.executable}",
        "" if good else f"needs Python {'.'.join(str(n) for n in OLDEST_PYTHON)} or newer",
    )


def _trust(host: HostFacts) -> Iterator[Finding]:
    """Whose files root reads here; whether others may change them was looked at before the spec was read."""
    if host.root:
        users = ", ".join(map(user_name, sorted(trusted_users(os.environ))))
        allowed = [str(entry.folder) for entry in read_allowed()]
        more = f", and others in {', '.join(allowed)}" if allowed else ""
        yield Finding("trust", "root", Level.OK, f"can be changed by {users} alone{more}")


def _services(topology: Topology) -> Iterator[Finding]:
    seen = set()
    for service in topology.services:
        if service.kind not in seen and service.binary is not None:
            yield Finding("service", service.kind, Level.OK, service.binary)
        seen.add(service.kind)
    catalogue = services()
    for absent in topology.absent:
        package = catalogue[absent.kind].package
        lacks_binary = catalogue[absent.kind].binary not in topology.host.binaries
        if package is not None and lacks_binary:
            remedy = f"Debian package {package}"
            yield Finding("service", absent.kind, Level.MISSING, absent.reason, remedy, package)
        else:
            yield Finding("service", absent.kind, Level.NOTE, absent.reason, absent.remedy)


def _docker(topology: Topology, docker: DockerFacts) -> Iterator[Finding]:
    found = topology.host.binaries.get("docker")
    if found is None:
        detail = "not on PATH; engine: compose needs it"
        yield Finding("service", "docker", Level.MISSING, detail, package="docker.io")
        return
    if docker.version is None:
        remedy = "start it (`systemctl start docker`), and join the group docker or be root"
        yield Finding("service", "docker", Level.MISSING, "no daemon answers this user", remedy)
        return
    daemon = f"daemon {docker.version}, {found}"
    if too_old(docker.version):
        remedy = f"Docker Engine {OLDEST_DAEMON} or newer, from https://docs.docker.com/engine/install/"
        yield Finding("service", "docker", Level.MISSING, daemon, remedy)
    else:
        yield Finding("service", "docker", Level.OK, daemon)
    if docker.compose is None:
        detail = "docker has no compose plugin"
        yield Finding("service", "docker compose", Level.MISSING, detail, package="docker-compose")
        return
    yield Finding("service", "docker compose", Level.OK, docker.compose)
    if docker.trouble:
        yield Finding("service", "project", Level.MISSING, docker.trouble)
    for image, here in docker.images.items():
        if here:
            yield Finding("image", image, Level.OK, "here, or built from what is here")
        else:
            remedy = "`techsapo up` pulls it, or name one that is here under `images:`"
            yield Finding("image", image, Level.NOTE, "not here yet", remedy)


def _tools(topology: Topology) -> Iterator[Finding]:
    have = topology.host.binaries
    validators = [tool for kind, tool in _VALIDATORS.items() if topology.has(kind)]
    # With Docker the images hold these, and Docker itself rotates logs.
    needed = () if topology.engine == "compose" else (*validators, *_WANTED)
    for tool in needed:
        if tool.name in have:
            yield Finding("tool", tool.name, Level.OK, have[tool.name])
        else:
            remedy = f"Debian package {tool.package}"
            yield Finding(
                "tool", tool.name, Level.WARNING, f"{tool.purpose}; not on PATH", remedy, tool.package
            )
    running = {service.facts.binary for service in topology.services}
    for tool in _optional():
        if tool.name in running or (tool.name == "docker" and topology.engine == "compose"):
            continue
        if tool.name in have:
            yield Finding("tool", tool.name, Level.OK, have[tool.name])
        else:
            remedy = f"Debian package {tool.package}"
            yield Finding("tool", tool.name, Level.NOTE, f"{tool.purpose}; optional, not on PATH", remedy)


def _wanted_ports(spec: Spec, topology: Topology) -> Iterator[tuple[int, Service]]:
    for service in topology.services:
        if not topology.published(service):
            continue
        yield service.port, service
        if service.kind == "nginx" and spec.served_certificate is not None:
            yield spec.nginx.tls_listen, service


def _ports(
    spec: Spec, topology: Topology, held: Mapping[int, Holder], docker: DockerFacts | None
) -> Iterator[Finding]:
    for port, service in _wanted_ports(spec, topology):
        name = f"port {port}"
        holder = held.get(port)
        if is_free(_numeric(service.host), port):
            yield Finding("port", name, Level.OK, f"free, for {service.name}")
        elif holder is None:
            yield Finding(
                "port",
                name,
                Level.MISSING,
                f"{service.name} can't listen on {service.host}:{port}",
                "ports below 1024 need root; is the address one of this host?",
            )
        elif _ours(topology, port, holder, docker):
            yield Finding("port", name, Level.OK, f"{service.name} of this stack: {holder}")
        else:
            yield Finding(
                "port",
                name,
                Level.MISSING,
                f"wanted by {service.name}, taken by {holder}",
                _how_to_free(service, holder),
            )


def _how_to_free(service: Service, holder: Holder) -> str:
    setting = {
        "app": "app.port",
        "nginx": "nginx.listen",
        "redis": "redis.port",
        "mysql": "mysql.port",
        "prometheus": "monitoring.prometheus.port",
        "alertmanager": "monitoring.alertmanager.port",
        "grafana": "monitoring.grafana.port",
    }.get(service.kind, f"monitoring.exporters.{service.kind.removesuffix('-exporter')}.port")
    if service.kind == "app" and service.name != "app":
        setting = "app.instances"
    if holder.pid is None:
        return f"run as root to see which process it is, or set another {setting}"
    return f"stop that process, or set another {setting}"


def _foreign(
    spec: Spec, topology: Topology, held: Mapping[int, Holder], docker: DockerFacts | None
) -> Iterator[Finding]:
    """Services on their well-known ports that are not this stack's, such as those of Debian's packages."""
    wanted = {port for port, _ in _wanted_ports(spec, topology)}
    for facts in services().values():
        holder = held.get(facts.port)
        if facts.binary is None or holder is None or facts.port in wanted:
            continue
        if _ours(topology, facts.port, holder, docker):
            continue
        detail = f"{facts.title}'s port {facts.port} is used by {holder}; it is left alone"
        yield Finding("running", facts.kind, Level.NOTE, detail)


def _ours(topology: Topology, port: int, holder: Holder, docker: DockerFacts | None) -> bool:
    if docker is not None and port in docker.ports:
        return True
    if holder.pid is None:
        return False
    return belongs_to(holder.pid, topology.layout.state)


def _state_directory(state: Path) -> Iterator[Finding]:
    try:
        found = room(state)
    except OSError as error:
        yield Finding("state", "state directory", Level.MISSING, f"{state}: {error.strerror}")
        return
    kind = file_system(state)
    where = (
        f"{state} on {kind or 'an unknown file system'}, {human(found.free_bytes)} free ({found.free:.0%})"
    )
    if found.read_only:
        yield Finding(
            "state", "state directory", Level.MISSING, f"{where}: read-only", "remount it read-write"
        )
    elif not os.access(found.directory, os.W_OK | os.X_OK):
        remedy = f"become the owner of {found.directory}, or move the spec"
        yield Finding("state", "state directory", Level.MISSING, f"{where}: not writable", remedy)
    elif min(found.free, found.free_inodes) < _ROOM_LEAST:
        yield Finding("state", "state directory", Level.MISSING, f"{where}: full", "make room")
    elif min(found.free, found.free_inodes) < _ROOM_WARN:
        yield Finding("state", "state directory", Level.WARNING, f"{where}: nearly full", "make room")
    elif kind in NETWORK:
        remedy = "databases and sockets want a local disk; move the spec to one"
        yield Finding("state", "state directory", Level.WARNING, f"{where}: a network file system", remedy)
    else:
        yield Finding("state", "state directory", Level.OK, where)


def _user(topology: Topology) -> Iterator[Finding]:
    host: HostFacts = topology.host
    if not host.root or topology.engine == "compose":
        return
    name = f"user {APP_USER}"
    if not accounts.exists(APP_USER):
        detail = "there is none, so the app keeps running as root"
        yield Finding("user", name, Level.WARNING, detail, "`techsapo doctor --fix` adds it")
    elif APP_USER not in host.users:
        detail = f"can't reach {topology.layout.state}, so the app runs as root"
        yield Finding(
            "user", name, Level.NOTE, detail, "put the project where other users may enter, e.g. /srv"
        )
    elif APP_USER not in host.app_users:
        detail = f"can't run {host.python}, so the app runs as root"
        yield Finding(
            "user",
            name,
            Level.NOTE,
            detail,
            "install with a Python that all users may run, e.g. /usr/bin/python3",
        )
    else:
        yield Finding("user", name, Level.OK, "runs the app")


def _numeric(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host

"""The two compose files and the image of the app.

`docker/docker-compose.monitoring.yml` holds what watches, `docker/production/docker-compose.prod.yml` what
is watched. Both are of one compose project and share its networks, so either runs alone and both run
together. They are built as data and dumped: no value of the spec is pasted into YAML text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import techsapo_ops
from techsapo_ops.adapters.build import (
    LOCK,
    OTEL_LOCK,
    PACKAGED_LOCK,
    PACKAGED_OTEL_LOCK,
    TEMPLATES,
    code,
    content,
)
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.container import Bind, Build, Container, Package
from techsapo_ops.stack.desired import ContainerUnit, RenderedFile
from techsapo_ops.stack.own_tls import tls_binds
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack_file import parsed
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

MONITORING_YML = "docker/docker-compose.monitoring.yml"
PRODUCTION_YML = "docker/production/docker-compose.prod.yml"
CONFIG = "docker/config/"
SECRETS = "docker/secrets/"
# `edge` alone reaches the world and may publish ports; the other two are private to the stack.
_INTERNAL = ("data", "metrics")


def compose_files(
    topology: Topology, templates: Templates, secrets: Sequence[RenderedFile], *, exact: bool = True
) -> tuple[RenderedFile, ...]:
    """Both compose files and the Dockerfiles of images that are built here, for a compose `topology`.

    `secrets` are the rendered secret files; each service is given those it owns. `exact` tells images of one
    edit of this package from those of another: not where no container is made from them.
    """
    installed = package(exact=exact)
    builds: dict[str, Build] = {}
    for kind in kinds():
        build = kind.build(topology, templates, installed) if topology.has(kind.name) else None
        if build is not None:
            builds[kind.name] = build
    writer = _Writer(topology, secrets, builds)
    files = []
    for path, about, monitors in (
        (MONITORING_YML, "What watches the stack.", True),
        (PRODUCTION_YML, "The app and what it needs.", False),
    ):
        services = [s for s in topology.services if kind_of(s).monitors is monitors]
        content = templates.render("compose/compose.yml.j2", about=about, compose=writer.file(path, services))
        files.append(RenderedFile(path, content))
    return (*files, *(RenderedFile(build.dockerfile, build.text) for build in builds.values()))


def container_units(topology: Topology, files: Sequence[RenderedFile]) -> tuple[ContainerUnit, ...]:
    """One unit for each service of a compose `topology`, read from the rendered compose files.

    From the files and not from what they were made of: a template of the user's own may have changed them.
    Raises OpsError where such a template broke them.
    """
    known = {file.path for file in files}
    units: dict[str, ContainerUnit] = {}
    for file in files:
        if file.path not in {MONITORING_YML, PRODUCTION_YML}:
            continue
        data = from_yaml(file.content, file.path)
        for service in topology.services:
            entry = data.get("services", {}).get(service.name)
            if entry is not None:
                units[service.name] = _unit(service, file.path, entry, data, known)
    missing = [s.name for s in topology.services if s.name not in units]
    if missing:
        raise OpsError(
            msg("the compose files have no service {missing}", missing=", ".join(missing)),
            msg("your own template compose/compose.yml.j2 must keep every service"),
        )
    return tuple(units[s.name] for s in topology.services)


def from_yaml(text: str, path: str) -> dict[str, Any]:
    """The content of a rendered compose file. Raises OpsError where a template made no mapping of it."""
    import yaml

    try:
        data = parsed(text)
    except yaml.YAMLError as error:
        raise OpsError(
            msg("{path} is not YAML: {error}", path=path, error=error),
            msg("fix the template compose/compose.yml.j2"),
        ) from None
    if not isinstance(data, dict):
        raise OpsError(
            msg("{path} is not a compose file", path=path), msg("fix the template compose/compose.yml.j2")
        )
    return data


def _unit(
    service: Service, path: str, entry: dict[str, Any], data: dict[str, Any], known: set[str]
) -> ContainerUnit:
    folder = Path(path).parent
    secrets = [
        os.path.normpath(folder / data["secrets"][s["source"]]["file"]) for s in entry.get("secrets", [])
    ]
    definition = {
        "service": {k: v for k, v in entry.items() if k not in {"depends_on", "build"}},
        "secrets": sorted(secrets),
        "networks": {name: data.get("networks", {}).get(name) for name in entry.get("networks", [])},
    }
    rendered = tuple(secret for secret in secrets if secret in known)
    return ContainerUnit(
        service=service.name,
        file=path,
        image=str(entry["image"]).replace("$$", "$"),
        definition=json.dumps(definition, sort_keys=True),
        builds="build" in entry,
        stop_seconds=int(str(entry.get("stop_grace_period", "10s")).removesuffix("s")),
        reload_signal=service.facts.reload if kind_of(service).reloads_in_container else None,
        config=(*_read_folders(service, entry, folder), *rendered),
        restart_config=rendered,
    )


def _read_folders(service: Service, entry: dict[str, Any], folder: Path) -> Iterator[str]:
    """Prefixes of the rendered files that a changed file of calls for a reload or a restart."""
    kind = kind_of(service)
    for mount in entry.get("volumes", []):
        source_folder = os.path.normpath(folder / str(mount["source"])) + "/"
        if mount["type"] != "bind" or not source_folder.startswith(CONFIG):
            continue
        name = source_folder.removeprefix(CONFIG)
        if name.rstrip("/") not in kind.unread:
            yield from [CONFIG + path for path in kind.reads if path.startswith(name)] or [source_folder]


def logging_of(spec: Spec, service: Service) -> dict[str, Any]:
    """How Docker keeps what a service writes."""
    options = {
        "max-size": spec.logs.max_size.lower(),
        # Docker counts the present file too.
        "max-file": str(spec.logs.keep + 1),
        "compress": "true" if spec.logs.compress else "false",
        # By this rsyslog knows whose lines a file holds.
        **({"tag": f"{spec.project}/{service.name}"} if spec.logs.syslog is not None else {}),
    }
    return {"driver": "json-file", "options": options}


def literal(value: Any) -> Any:
    """`value` with every `$` doubled, so that compose interpolates nothing."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {literal(k): literal(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [literal(v) for v in value]
    return value


class _Writer:
    def __init__(
        self, topology: Topology, secrets: Sequence[RenderedFile], builds: Mapping[str, Build]
    ) -> None:
        self._spec = topology.spec
        self._builds = builds
        self._topology = topology
        self._secrets: dict[str, list[tuple[str, Path]]] = {}
        for file in secrets:
            if file.owner is not None:
                path = topology.layout.config / "docker" / file.path
                self._secrets.setdefault(file.owner, []).append((Path(file.path).name, path))
        for kind in kinds():
            # The engine makes these; until then compose says which file is missing.
            if made := list(kind.made_secrets(topology).items()):
                self._secrets.setdefault(kind.name, []).extend(made)

    def file(self, path: str, services: Sequence[Service]) -> dict[str, Any]:
        folder = (self._topology.layout.config / path).parent
        containers = {s.name: kind_of(s).container(self._topology, s) for s in services}
        present = [kind_of(name) for name in dict.fromkeys(s.kind for s in services)]
        networks = dict.fromkeys(name for kind in present for name in kind.networks)
        secrets = {
            self._secret_key(kind.name, name): {"file": _relative(file, folder)}
            for kind in present
            for name, file in self._secrets.get(kind.name, [])
        }
        data: dict[str, Any] = {
            "name": self._spec.project,
            "services": {
                s.name: self._service(s, containers[s.name], folder, {c.name for c in services})
                for s in services
            },
            "networks": {name: {"internal": name in _INTERNAL} for name in networks},
        }
        volumes = [s.name for s in services if containers[s.name].volume is not None]
        if volumes:
            data["volumes"] = {name: {} for name in volumes}
        if secrets:
            data["secrets"] = secrets
        result: dict[str, Any] = literal(data)
        return result

    def _service(self, service: Service, facts: Container, folder: Path, present: set[str]) -> dict[str, Any]:
        spec, topology = self._spec, self._topology
        kind, build = kind_of(service), self._builds.get(service.kind)
        default = build.image if build is not None else service.facts.image
        entry: dict[str, Any] = {"image": spec.image_of(service.kind, default)}
        if build is not None and service.kind not in spec.images:
            context = (topology.layout.config / build.dockerfile).parent
            entry["build"] = {
                "context": _relative(context, folder),
                "additional_contexts": {"source": str(build.source)},
            }
        entry |= {
            "user": str(service.facts.uid),
            "command": list(facts.command),
            "environment": dict(facts.environment),
            "restart": "unless-stopped",
            "stop_grace_period": f"{facts.stop_seconds}s",
            "stop_signal": f"SIG{facts.stop_signal}",
            "networks": list(kind.networks),
            "volumes": self._volumes(service, facts, folder),
            "read_only": True,
            "tmpfs": list(facts.tmpfs),
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "deploy": {"resources": {"limits": {"memory": f"{facts.memory_mb}M", "pids": facts.pids}}},
            "logging": logging_of(spec, service),
        }
        entry |= facts.extra
        if facts.healthcheck:
            entry["healthcheck"] = {
                "test": ["CMD", *facts.healthcheck],
                "interval": "30s",
                "timeout": "10s",
                "retries": 3,
                "start_period": "40s",
                "start_interval": "1s",
            }
        if self._topology.published(service):
            entry["ports"] = [_publish(service, *ports) for ports in kind.ports(topology, service)]
        needs = {name: self._condition(name) for name in service.needs if name in present}
        if needs:
            entry["depends_on"] = needs
        secrets = [
            {"source": self._secret_key(service.kind, name), "target": name}
            for name, _ in self._secrets.get(service.kind, [])
        ]
        if secrets:
            entry["secrets"] = secrets
        return {key: value for key, value in entry.items() if value not in ({}, [], None)}

    def _condition(self, name: str) -> dict[str, str]:
        needed = self._topology.find(name)
        healthy = needed is not None and bool(kind_of(needed).container(self._topology, needed).healthcheck)
        return {"condition": "service_healthy" if healthy else "service_started"}

    def _volumes(self, service: Service, facts: Container, folder: Path) -> list[dict[str, Any]]:
        layout = self._topology.layout
        # Folders, not files: a bind of one file keeps the old one when a rename puts a new one in its place.
        mounts = [
            _bind(_relative(layout.config / CONFIG / kind, folder), Bind(Path(), f"/etc/techsapo/{kind}"))
            for kind in facts.config
        ]
        mounts += [
            _bind(_relative(layout.config / CONFIG / name, folder), Bind(Path(), target))
            for name, target in facts.mounts.items()
        ]
        for bind in (*tls_binds(self._topology, service), *facts.binds):
            # The host's own root stays absolute.
            source = str(bind.source) if bind.source == Path("/") else _relative(bind.source, folder)
            mounts.append(_bind(source, bind))
        if facts.volume is not None:
            mounts.append({"type": "volume", "source": service.name, "target": facts.volume})
        return mounts

    @staticmethod
    def _secret_key(kind: str, name: str) -> str:
        return f"{kind}-{name}"


_relative: Callable[[Path, Path], str] = os.path.relpath


def _bind(source: str, bind: Bind) -> dict[str, Any]:
    """`bind` as compose has it, with its `source` as the file names it."""
    mount = {"type": "bind", "source": source, "target": bind.target, "read_only": not bind.writable}
    options = ({"create_host_path": True} if bind.create else {}) | (
        {"propagation": "rslave"} if bind.follows else {}
    )
    return mount | {"bind": options} if options else mount


def _publish(service: Service, target: int, published: int) -> dict[str, Any]:
    host = listen_host(service.host)
    return {"target": target, "published": str(published), "host_ip": host, "protocol": "tcp"}


def package(*, exact: bool) -> Package:
    """Where a build of an image finds this package; `exact` tells one edit of it from another."""
    inside = Path(techsapo_ops.__file__).parent
    folder = inside.parent
    packaged = inside / PACKAGED_LOCK
    locks = (inside, PACKAGED_LOCK, PACKAGED_OTEL_LOCK) if packaged.is_file() else (folder, LOCK, OTEL_LOCK)
    lock, otel_lock = ((locks[0] / name).relative_to(folder).as_posix() for name in locks[1:])
    return Package(
        source=folder,
        lock=lock,
        otel_lock=otel_lock,
        templates=not packaged.is_file() and (folder / TEMPLATES).is_dir(),
        build=code() if exact else techsapo_ops.__version__,
        digest=content().digest if exact else None,
    )

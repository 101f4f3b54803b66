"""The two compose files and the image of the app.

`docker/docker-compose.monitoring.yml` holds what watches, `docker/production/docker-compose.prod.yml` what
is watched. Both are of one compose project and share its networks, so either runs alone and both run
together. They are built as data and dumped: no value of the spec is pasted into YAML text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from techsapo_ops import __version__
from techsapo_ops.adapters.build import code
from techsapo_ops.errors import OpsError
from techsapo_ops.render.container import MYSQL_INIT, Container, container
from techsapo_ops.render.programs import MYSQL_SERVER_PASSWORD, MYSQLD_EXPORTER_CNF
from techsapo_ops.services.app.image import (
    SCHEDULER_IMAGE,
    app_image,
    base_image,
    docker_cli_image,
    restic_image,
    source,
)
from techsapo_ops.services.app.pages import THRESHOLDS
from techsapo_ops.services.app.rendered_spec import (
    CONTAINER_CALIBRATION,
    CONTAINER_KEYS,
    calibration_file,
    keys_file,
)
from techsapo_ops.services.scheduler.container import places
from techsapo_ops.spec.auth import resolved_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import ContainerUnit, RenderedFile
from techsapo_ops.stack.layout import SCHEDULER
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

MONITORING_YML = "docker/docker-compose.monitoring.yml"
PRODUCTION_YML = "docker/production/docker-compose.prod.yml"
DOCKERFILE = "docker/app/Dockerfile"

CONFIG = "docker/config/"
SECRETS = "docker/secrets/"
SCHEDULER_DOCKERFILE = "docker/scheduler/Dockerfile"

_MONITORING = ("prometheus", "alertmanager", "grafana", "node-exporter")
_NETWORKS = {
    "app": ("edge", "data", "metrics"),
    "nginx": ("edge", "metrics"),
    "redis": ("data",),
    "mysql": ("data",),
    "prometheus": ("edge", "metrics"),
    "alertmanager": ("edge", "metrics"),
    "grafana": ("edge", "metrics"),
    "node-exporter": ("metrics",),
    "redis-exporter": ("data", "metrics"),
    "mysqld-exporter": ("data", "metrics"),
    "nginx-exporter": ("metrics",),
    "scheduler": (),
}
# `edge` alone reaches the world and may publish ports; the other two are private to the stack.
_INTERNAL = ("data", "metrics")
_LOGGING = {"driver": "json-file"}


def compose_files(
    spec: Spec,
    topology: Topology,
    templates: Templates,
    secrets: Sequence[RenderedFile],
    *,
    exact: bool = True,
) -> tuple[RenderedFile, ...]:
    """Both compose files and the app's Dockerfile, for a compose `topology`.

    `secrets` are the rendered secret files; each service is given those it owns. `exact`: see app_image.
    """
    base = base_image(spec)
    app = topology.of_kind("app")[0].facts
    package = source()
    told: dict[str, Any] = {
        "base": base,
        "uid": app.uid,
        "data": app.container_data,
        "lock": package.lock,
        "build": code() if exact else __version__,
        "templates": package.templates,
    }
    dockerfile = templates.render("docker/app.Dockerfile.j2", **told)
    dockerfiles = [RenderedFile(DOCKERFILE, dockerfile)]
    built = {"app": app_image(base, dockerfile, exact=exact)}
    if topology.has(SCHEDULER):
        told |= {"docker_cli": docker_cli_image(spec), "restic": restic_image(spec)}
        text = templates.render("docker/scheduler.Dockerfile.j2", **told)
        dockerfiles.append(RenderedFile(SCHEDULER_DOCKERFILE, text))
        built[SCHEDULER] = app_image(base, text, exact=exact, name=SCHEDULER_IMAGE)
    writer = _Writer(spec, topology, secrets, built)
    monitoring = [s for s in topology.services if s.kind in _MONITORING]
    production = [s for s in topology.services if s.kind not in _MONITORING]
    return (
        RenderedFile(
            MONITORING_YML,
            templates.render(
                "compose/compose.yml.j2",
                about="What watches the stack.",
                compose=writer.file(MONITORING_YML, monitoring),
            ),
        ),
        RenderedFile(
            PRODUCTION_YML,
            templates.render(
                "compose/compose.yml.j2",
                about="The app and what it needs.",
                compose=writer.file(PRODUCTION_YML, production),
            ),
        ),
        *dockerfiles,
    )


def container_units(topology: Topology, files: Sequence[RenderedFile]) -> tuple[ContainerUnit, ...]:
    """One unit for each service of a compose `topology`, read from the rendered compose files.

    From the files and not from what they were made of: a template of the user's own may have changed them.
    Raises OpsError where such a template broke them.
    """
    known = {file.path for file in files}
    found: dict[str, ContainerUnit] = {}
    for file in files:
        if file.path not in {MONITORING_YML, PRODUCTION_YML}:
            continue
        data = from_yaml(file.content, file.path)
        for service in topology.services:
            entry = data.get("services", {}).get(service.name)
            if entry is not None:
                found[service.name] = _unit(service, file.path, entry, data, known)
    missing = [s.name for s in topology.services if s.name not in found]
    if missing:
        raise OpsError(
            f"the compose files have no service {', '.join(missing)}",
            "the template compose/compose.yml.j2 in templates/ must keep every service",
        )
    return tuple(found[s.name] for s in topology.services)


def from_yaml(text: str, path: str) -> dict[str, Any]:
    """The content of a rendered compose file. Raises OpsError where a template made no mapping of it."""
    import yaml

    try:
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one, in C
    except yaml.YAMLError as error:
        raise OpsError(f"{path} is not YAML: {error}", "mend the template compose/compose.yml.j2") from None
    if not isinstance(data, dict):
        raise OpsError(f"{path} is no compose file", "mend the template compose/compose.yml.j2")
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
        reload_signal=service.facts.reload,
        config=(*_read_folders(service, entry, folder), *rendered),
        restart_config=rendered,
    )


def _read_folders(service: Service, entry: dict[str, Any], folder: Path) -> Iterator[str]:
    """Prefixes of the rendered files that a changed file of calls for a reload or a restart."""
    for mount in entry.get("volumes", []):
        source_folder = os.path.normpath(folder / str(mount["source"])) + "/"
        if mount["type"] != "bind" or not source_folder.startswith(CONFIG) or MYSQL_INIT in source_folder:
            continue
        if source_folder == f"{CONFIG}{Path(THRESHOLDS).parent}/":
            continue  # read anew by each page that is looked at
        if service.kind == "grafana":  # it looks for changed dashboards by itself
            yield from (f"{source_folder}grafana.ini", f"{source_folder}provisioning/")
        else:
            yield source_folder


def _images(spec: Spec) -> dict[str, str]:
    return {str(name): image for name, image in spec.images.items()}


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
        self, spec: Spec, topology: Topology, secrets: Sequence[RenderedFile], built: dict[str, str]
    ) -> None:
        self._spec = spec
        self._built = built
        self._topology = topology
        self._secrets: dict[str, list[tuple[str, Path]]] = {}
        for file in secrets:
            self._add_secret(file.owner, Path(file.path).name, topology.layout.config / "docker" / file.path)
        if spec.mysql is not None and spec.mysql.password is None:
            # The engine makes this one; until then compose says which file is missing.
            password, keys = topology.layout.mysql_password, topology.layout.keys
            self._add_secret("app", "mysql-password", password)
            self._add_secret("mysql", MYSQL_SERVER_PASSWORD, password)
            self._add_secret("mysqld-exporter", MYSQLD_EXPORTER_CNF, keys / MYSQLD_EXPORTER_CNF)

    def _add_secret(self, kind: str | None, name: str, path: Path) -> None:
        if kind is not None:
            self._secrets.setdefault(kind, []).append((name, path))

    def file(self, path: str, services: Sequence[Service]) -> dict[str, Any]:
        folder = (self._topology.layout.config / path).parent
        containers = {s.name: container(self._spec, self._topology, s) for s in services}
        kinds = list(dict.fromkeys(s.kind for s in services))
        networks = dict.fromkeys(n for kind in kinds for n in _NETWORKS[kind])
        secrets = {
            self._secret_key(kind, name): {"file": _relative(file, folder)}
            for kind in kinds
            for name, file in self._secrets.get(kind, [])
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
        default = self._built.get(service.kind, service.facts.image)
        entry: dict[str, Any] = {"image": _images(spec).get(service.kind, default)}
        if service.kind in self._built and service.kind not in spec.images:
            entry["build"] = {
                "context": _relative(topology.layout.config / "docker" / service.kind, folder),
                "additional_contexts": {"source": str(source().folder)},
            }
        entry |= {
            "user": str(service.facts.uid),
            "command": list(facts.command),
            "environment": dict(facts.environment),
            "restart": "unless-stopped",
            "stop_grace_period": f"{facts.stop_seconds}s",
            "stop_signal": f"SIG{facts.stop_signal}",
            "networks": list(_NETWORKS[service.kind]),
            "volumes": self._volumes(service, facts, folder),
            "read_only": True,
            "tmpfs": list(facts.tmpfs),
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "deploy": {"resources": {"limits": {"memory": f"{facts.memory_mb}M", "pids": facts.pids}}},
            "logging": _LOGGING
            | {
                "options": {
                    "max-size": spec.logs.max_size.lower(),
                    # Docker counts the present file too.
                    "max-file": str(spec.logs.keep + 1),
                    "compress": "true" if spec.logs.compress else "false",
                }
            },
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
            entry["ports"] = [_publish(service, facts.port, service.port)]
            if service.kind == "nginx" and spec.served_certificate is not None:
                entry["ports"].append(_publish(service, facts.tls_port, spec.nginx.tls_listen))
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
        healthy = needed is not None and bool(container(self._spec, self._topology, needed).healthcheck)
        return {"condition": "service_healthy" if healthy else "service_started"}

    def _volumes(self, service: Service, facts: Container, folder: Path) -> list[dict[str, Any]]:
        layout = self._topology.layout
        # Folders, not files: a bind of one file keeps the old one when a rename puts a new one in its place.
        mounts = [
            _bind(_relative(layout.config / CONFIG / kind, folder), f"/etc/techsapo/{kind}")
            for kind in facts.config
        ]
        mounts += [
            _bind(_relative(layout.config / CONFIG / name, folder), target)
            for name, target in facts.mounts.items()
        ]
        if service.kind == SCHEDULER:
            mounts += [
                _bind(_relative(place.path, folder), str(place.path))
                | {"read_only": not place.writable}
                | ({"bind": {"create_host_path": True}} if place.create else {})
                for place in places(self._spec, layout)
            ]
        if service.kind == "nginx" and self._spec.served_certificate is not None:
            mounts.append(_bind(_relative(layout.certs, folder), "/etc/techsapo/certs"))
        if self._spec.redis.tls:
            if service.kind == "redis":
                certificate = _relative(layout.redis_certificate, folder)
                mounts.append(_bind(certificate, str(self._topology.redis_certificate_dir())))
            if service.kind in {"redis", "redis-exporter", "app"} and self._topology.has("redis"):
                trusted = _relative(layout.redis_ca.parent, folder)
                mounts.append(_bind(trusted, str(self._topology.redis_ca().parent)))
        if service.kind == "app" and resolved_auth(self._spec, layout.environment).required:
            # `techsapo keys` writes here, perhaps only later.
            keys = _bind(
                _relative(keys_file(self._spec, layout).parent, folder), str(Path(CONTAINER_KEYS).parent)
            )
            mounts.append(keys | {"bind": {"create_host_path": True}})
        if service.kind == "app" and self._spec.wallbounce.calibration is not None:
            # The one file: its folder is the user's and may hold secrets. It is read at start only.
            weights = calibration_file(self._spec.wallbounce.calibration, layout)
            mounts.append(_bind(_relative(weights, folder), CONTAINER_CALIBRATION))
        if service.kind == "node-exporter":
            # Jobs write here, the first of them perhaps later: an empty folder will do.
            textfiles = _bind(_relative(layout.textfiles, folder), "/textfile")
            mounts.append(textfiles | {"bind": {"create_host_path": True}})
            mounts.append({"type": "bind", "source": "/", "target": "/host", "read_only": True})
        if facts.volume is not None:
            mounts.append({"type": "volume", "source": service.name, "target": facts.volume})
        return mounts

    @staticmethod
    def _secret_key(kind: str, name: str) -> str:
        return f"{kind}-{name}"


_relative: Callable[[Path, Path], str] = os.path.relpath


def _bind(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _publish(service: Service, target: int, published: int) -> dict[str, Any]:
    host = "127.0.0.1" if service.host == "localhost" else service.host
    return {"target": target, "published": str(published), "host_ip": host, "protocol": "tcp"}

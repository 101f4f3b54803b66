"""The two compose files and the image of the app.

`docker/docker-compose.monitoring.yml` holds what watches, `docker/production/docker-compose.prod.yml` what
is watched. Both are of one compose project and share its networks, so either runs alone and both run
together. They are built as data and dumped: no value of the spec is pasted into YAML text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import techsapo_ops
from techsapo_ops.render.container import Container, container
from techsapo_ops.render.programs import MYSQL_SERVER_PASSWORD, MYSQLD_EXPORTER_CNF
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.desired import RenderedFile
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.topology import Service, Topology

MONITORING_YML = "docker/docker-compose.monitoring.yml"
PRODUCTION_YML = "docker/production/docker-compose.prod.yml"
DOCKERFILE = "docker/app/Dockerfile"

CONFIG = "docker/config/"
SECRETS = "docker/secrets/"
BASE_IMAGE = "python:3.13-slim"

_MONITORING = ("prometheus", "alertmanager", "grafana", "node-exporter")
_PUBLISHED = ("app", "nginx", "prometheus", "alertmanager", "grafana")
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
}
# `edge` alone reaches the world and may publish ports; the other two are private to the stack.
_INTERNAL = ("data", "metrics")
_LOGGING = {"driver": "json-file"}


def compose_files(
    spec: Spec, topology: Topology, templates: Templates, secrets: Sequence[RenderedFile]
) -> tuple[RenderedFile, ...]:
    """Both compose files and the app's Dockerfile, for a compose `topology`.

    `secrets` are the rendered secret files; each service is given those it owns.
    """
    writer = _Writer(spec, topology, secrets)
    monitoring = [s for s in topology.services if s.kind in _MONITORING]
    production = [s for s in topology.services if s.kind not in _MONITORING]
    base = spec.images.get("base", BASE_IMAGE)
    app = topology.of_kind("app")[0].facts
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
        RenderedFile(
            DOCKERFILE,
            templates.render("docker/app.Dockerfile.j2", base=base, uid=app.uid, data=app.container_data),
        ),
    )


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
    def __init__(self, spec: Spec, topology: Topology, secrets: Sequence[RenderedFile]) -> None:
        self._spec = spec
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
        entry: dict[str, Any] = {"image": _images(spec).get(service.kind, service.facts.image)}
        if service.kind == "app" and "app" not in spec.images:
            source = Path(techsapo_ops.__file__).parent.parent
            entry["build"] = {
                "context": _relative(topology.layout.config / "docker" / "app", folder),
                "additional_contexts": {"source": str(source)},
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
                    "max-file": str(spec.logs.keep),
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
        if service.kind in _PUBLISHED:
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
        if service.kind == "nginx" and self._spec.served_certificate is not None:
            mounts.append(_bind(_relative(layout.certs, folder), "/etc/techsapo/certs"))
        if service.kind == "node-exporter":
            mounts.append(_bind(_relative(layout.textfiles, folder), "/textfile"))
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

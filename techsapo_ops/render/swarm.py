"""The stack file of several machines: a Swarm service for each service on each machine.

Each is a global service that may run on the one node with its machine's label. A global one has one task
there and none anywhere else: where the node is lost, Swarm keeps no second one that waits for a place. Its
name is the machine's too, so that metrics, alerts and logs say where something is; all of a kind share an
alias, and so do those of one instance.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.compose import from_yaml, literal, logging_of, package
from techsapo_ops.services.registry import kind_of, kinds_in
from techsapo_ops.stack.container import Bind, Build, Container
from techsapo_ops.stack.desired import ContainerUnit, RenderedFile
from techsapo_ops.stack.own_tls import tls_binds
from techsapo_ops.stack.places import CONTAINER_CONFIG, SWARM
from techsapo_ops.stack.service import ON, Service
from techsapo_ops.stack.stack_file import FOLDERS, NODE_LABEL, STACK_YML
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

CONFIG = f"{SWARM}config/"
SECRETS = f"{SWARM}secrets/"
_NOT_IN_SWARM = frozenset({"network_mode", "pid", "extra_hosts"})
_HOST_NETWORK = "machine"


def swarm_files(
    topology: Topology,
    templates: Templates,
    files: Sequence[RenderedFile],
    secrets: Sequence[RenderedFile],
) -> tuple[RenderedFile, ...]:
    """The stack file, and the Dockerfiles of images that are built here.

    `files` are the configuration of all kinds, `secrets` the rendered secret files, both by the paths that
    they have below `CONFIG` and `SECRETS`.
    """
    installed = package(exact=True)
    builds = {
        kind.name: build
        for kind in kinds_in(topology)
        if (build := kind.build(topology, templates, installed)) is not None
    }
    data = _Writer(topology, files, secrets, builds).stack()
    stack = RenderedFile(STACK_YML, templates.render("swarm/stack.yml.j2", stack=data))
    dockerfiles = (
        RenderedFile(SWARM + build.dockerfile.removeprefix("docker/"), build.text)
        for build in builds.values()
    )
    return (stack, *dockerfiles)


def swarm_units(topology: Topology, files: Sequence[RenderedFile]) -> tuple[ContainerUnit, ...]:
    """One unit for each service, read from the rendered stack file, which a user's template may have changed.

    Raises OpsError where such a template broke it.
    """
    text = next((file.content for file in files if file.path == STACK_YML), "")
    data = from_yaml(text, STACK_YML)
    entries: Mapping[str, Any] = data.get("services", {})
    missing = [s.name for s in topology.services if s.name not in entries]
    if missing:
        raise OpsError(
            msg("{path} has no service {missing}", path=STACK_YML, missing=", ".join(missing)),
            msg("your own template swarm/stack.yml.j2 must keep every service"),
        )
    return tuple(_unit(service, entries[service.name], data) for service in topology.services)


def _unit(service: Service, entry: Mapping[str, Any], data: Mapping[str, Any]) -> ContainerUnit:
    definition = {
        "service": {key: value for key, value in entry.items() if key != "build"},
        "networks": {name: data.get("networks", {}).get(name) for name in entry.get("networks", {})},
    }
    read = [
        SWARM + os.path.normpath(data[kind][each["source"]]["file"])
        for kind in ("configs", "secrets")
        for each in entry.get(kind, ())
    ]
    return ContainerUnit(
        service=service.name,
        file=STACK_YML,
        image=str(entry["image"]).replace("$$", "$"),
        definition=json.dumps(definition, sort_keys=True),
        builds="build" in entry,
        stop_seconds=int(str(entry.get("stop_grace_period", "10s")).removesuffix("s")),
        # A config never changes: another content is another one, and another task.
        reload_signal=None,
        config=tuple(path for path in read if path.startswith((CONFIG, SECRETS))),
    )


class _Writer:
    def __init__(
        self,
        topology: Topology,
        files: Sequence[RenderedFile],
        secrets: Sequence[RenderedFile],
        builds: Mapping[str, Build],
    ) -> None:
        self._topology = topology
        self._spec = topology.spec
        self._files = files
        self._builds = builds
        self._configs: dict[str, dict[str, str]] = {}
        self._secrets: dict[str, dict[str, str]] = {}
        self._given: dict[str, dict[str, Path]] = {}
        for file in secrets:
            if file.owner is not None:
                path = Path("secrets") / Path(file.path).name
                self._given.setdefault(file.owner, {})[Path(file.path).name] = path
        for kind in kinds_in(topology):
            # The engine makes these before it deploys.
            self._given.setdefault(kind.name, {}).update(kind.made_secrets(topology))

    def stack(self) -> dict[str, Any]:
        services = {service.name: self._service(service) for service in self._topology.services}
        volumes: dict[str, dict[str, Any]] = {
            mount["source"]: {}
            for entry in services.values()
            for mount in entry.get("volumes", ())
            if mount["type"] == "volume"
        }
        data: dict[str, Any] = {
            "services": services,
            "networks": {
                "net": {
                    "driver": "overlay",
                    # So that a throwaway server, or a shell of yours, can be beside the services.
                    "attachable": True,
                    # Docker asks whether the word is there, not what it says.
                    **({"driver_opts": {"encrypted": ""}} if self._spec.swarm.encrypted else {}),
                    "ipam": {"config": [{"subnet": self._spec.swarm.subnet}]},
                },
                _HOST_NETWORK: {"external": True, "name": "host"},
            },
            "volumes": volumes,
            "configs": self._configs,
            "secrets": self._secrets,
        }
        result: dict[str, Any] = literal({key: value for key, value in data.items() if value})
        return result

    def _service(self, service: Service) -> dict[str, Any]:
        spec, machine = self._spec, service.machine
        kind, build = kind_of(service), self._builds.get(service.kind)
        facts = kind.container(self._topology, service)
        default = build.image if build is not None else service.facts.image
        entry: dict[str, Any] = {"image": spec.image_of(service.kind, default)}
        if build is not None and service.kind not in spec.images:
            entry["build"] = {
                "context": os.path.dirname(build.dockerfile.removeprefix("docker/")),  # noqa: PTH120 - no file
                "additional_contexts": {"source": str(build.source)},
            }
        on_machine = service.facts.on_machine or service.facts.on_host
        extra = {key: value for key, value in facts.extra.items() if key not in _NOT_IN_SWARM}
        entry |= {
            "user": str(service.facts.uid),
            "command": list(facts.command),
            "environment": dict(facts.environment),
            "stop_grace_period": f"{facts.stop_seconds}s",
            "stop_signal": f"SIG{facts.stop_signal}",
            "networks": {_HOST_NETWORK: {}}
            if on_machine
            else {"net": {"aliases": [*dict.fromkeys((service.kind, service.instance))]}},
            "read_only": True,
            "cap_drop": ["ALL"],
            "logging": logging_of(spec, service),
            **extra,
            **self._mounts(service, facts),
            "deploy": {
                "mode": "global",
                "endpoint_mode": "dnsrr",  # a virtual address needs IPVS, and keeps a dead task for longer
                "placement": {"constraints": [f"node.labels.{NODE_LABEL} == {machine.name}"]},
                "restart_policy": {"condition": "any", "delay": "500ms"},
                "update_config": {
                    "order": "start-first" if kind.starts_first else "stop-first",
                    "failure_action": "rollback",
                    "monitor": "5s",
                },
                "rollback_config": {"order": "start-first" if kind.starts_first else "stop-first"},
                "resources": {"limits": {"memory": f"{facts.memory_mb}M", "pids": facts.pids}},
            },
        }
        if facts.healthcheck:
            entry["healthcheck"] = {
                "test": ["CMD", *facts.healthcheck],
                # Swarm waits for the first one before it stops the task in whose place this one starts.
                "interval": "2s" if kind.starts_first else "10s",
                "timeout": "5s",
                "retries": 3,
                "start_period": "40s",
            }
        if service.facts.front:
            entry["ports"] = [
                {"target": inside, "published": here, "protocol": "tcp", "mode": "host"}
                for inside, here in kind.ports(self._topology, service)
            ]
        return {key: value for key, value in entry.items() if value not in ({}, [], None)}

    def _mounts(self, service: Service, facts: Container) -> dict[str, Any]:
        folders_of = {folder: f"{CONTAINER_CONFIG}/{folder}" for folder in facts.config} | dict(facts.mounts)
        read = [
            (file, f"{target}/{file.path.removeprefix(f'{folder}/')}")
            for folder, target in folders_of.items()
            for file in self._files
            if file.path.startswith(f"{folder}/") and self._is_for(service, file.path)
        ]
        configs = [self._config(file.path, target, file.mode) for file, target in read if not file.secret]
        secrets = [
            self._secret(service, name, path) for name, path in self._given.get(service.kind, {}).items()
        ]
        # What everybody who may ask a manager could read is no place for a file with a secret in it.
        secrets += [self._secret_file(service, file.path, target) for file, target in read if file.secret]
        volumes: list[dict[str, Any]] = []
        folders: dict[str, str] = {}
        for bind in (*tls_binds(self._topology, service), *facts.binds):
            if bind.of_machine:
                volumes.append(
                    {"type": "bind", "source": str(bind.source), "target": bind.target, "read_only": True}
                    | ({"bind": {"propagation": "rslave"}} if bind.follows else {})
                )
                continue
            volume = f"{service.name}-{self._volume_word(bind)}"
            folders[volume] = self._relative(bind.source)
            volumes.append({"type": "volume", "source": volume, "target": bind.target, "read_only": True})
        if facts.volume is not None:
            volumes.append({"type": "volume", "source": service.name, "target": facts.volume})
        # Swarm's have no owner; all may write there, as into any /tmp.
        volumes += [{"type": "tmpfs", "target": words.partition(":")[0]} for words in facts.tmpfs]
        return {"configs": configs, "secrets": secrets, "volumes": volumes, FOLDERS: folders}

    def _is_for(self, service: Service, path: str) -> bool:
        """Whether a file is not another machine's."""
        second = path.split("/")[1] if path.count("/") > 1 else ""
        own = service.machine.own_folder
        return not second.startswith(ON) or second == own

    def _config(self, path: str, target: str, mode: int) -> dict[str, Any]:
        key = path.replace("/", "-")
        self._configs[key] = {"file": f"config/{path}"}
        return {"source": key, "target": target, "mode": mode}

    def _secret_file(self, service: Service, path: str, target: str) -> dict[str, Any]:
        key = path.replace("/", "-")
        self._secrets[key] = {"file": f"config/{path}"}
        return {"source": key, "target": target, "uid": str(service.facts.uid), "mode": 0o400}

    def _secret(self, service: Service, name: str, path: Path) -> dict[str, Any]:
        key = f"{service.kind}-{name}"
        self._secrets[key] = {"file": self._relative(path) if path.is_absolute() else str(path)}
        return {"source": key, "target": name, "uid": str(service.facts.uid), "mode": 0o400}

    def _relative(self, path: Path) -> str:
        """As seen from the stack file, which a machine may have elsewhere than another one."""
        return os.path.relpath(path, (self._topology.layout.config / STACK_YML).parent)

    def _volume_word(self, bind: Bind) -> str:
        state = self._topology.layout.state
        inside = bind.source.is_relative_to(state)
        parts = bind.source.relative_to(state).parts if inside else bind.source.parts[-1:]
        return "-".join(parts).replace("_", "-").lower()

"""Three machines in a Swarm that runs what it is told, by docker's own command line, until somebody dies.

Services become containers at once, and those are ready. A test says at which change of the Swarm or of the
state directory the one at work is killed: from there on nothing more reaches either of them. Modelled on
Docker 26.1.5 as far as `up`, `rollback` and `down` ask it; anything else is refused.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import shutil
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fakes.memory_engine import Killed
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.swarm import _LABEL
from tests.fakes.swarm_nodes import nodes_answer
from tests.fakes.swarm_store import SwarmStore

NO_IMAGE = "No such image: shop/app:1"
LEFT = "left-by-the-killed"
"""Beside a state directory: as it was when the command that worked in it was killed."""
SUBNET = "10.99.0.0/20"
NODE_LABEL = "node.labels.techsapo == "


@dataclass
class Container:
    """One container of a service; `made` is all that the service was defined with."""

    id: str
    service: str
    made: dict[str, Any]
    created: str
    running: bool = True


@dataclass
class Host:
    """What one machine has. `silent`: why it does not answer."""

    name: str
    images: set[str] = field(default_factory=set)
    containers: list[Container] = field(default_factory=list)
    slots: dict[str, bytes] = field(default_factory=dict)
    """Bundles of the state directory."""
    folders: dict[str, bytes] = field(default_factory=dict)
    """Files in volumes, by path."""
    refuses: str = ""
    """A service that it can't start, for it lacks the image."""
    silent: str = ""


@dataclass
class Coordinator:
    """Who is at work in the directory `state`; `points` are the changes that it has made.

    Before one that begins with `dies`, of those the one of that number, it is killed, or told Ctrl-C where
    `interrupted`.
    """

    state: Path
    dies: str = ""
    number: int = 1
    interrupted: bool = False
    points: list[str] = field(default_factory=list)
    dead: bool = False

    def is_due(self, what: str) -> bool:
        """Whether that is the change before which it dies."""
        before = sum(point.startswith(self.dies) for point in self.points)
        return bool(self.dies) and what.startswith(self.dies) and before == self.number - 1


class SwarmCluster:
    """A Runner. `on` says who runs a command now."""

    def __init__(self, project: str, names: str = "abc") -> None:
        self.project = project
        self.store = SwarmStore()
        self.hosts = {name: Host(name) for name in names}
        self.services: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, set[str]] = {"config": set(), "secret": set()}
        self.labels: dict[str, str] = {}
        self.log: list[str] = []
        """Changes of services, in their order."""
        self.who: Coordinator | None = None
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def copied(self) -> SwarmCluster:
        """The same Swarm once more, which goes its own way; nobody is at work on it."""
        other = SwarmCluster(self.project)
        other.store = self.store.copy()
        for name in ("hosts", "services", "objects", "labels"):
            setattr(other, name, copy.deepcopy(getattr(self, name)))
        other._numbers = itertools.count(1000)
        return other

    def on(self, state: Path, **dies: Any) -> Coordinator:
        """From now on commands are of who works in the state directory `state`; `dies` as of Coordinator."""
        self.who = Coordinator(state, **dies)
        return self.who

    def changes(self, what: str) -> None:
        """The one at work is about to change something. Raises Killed where it dies before that."""
        who = self.who
        if who is None:
            return
        with self._lock:
            if not who.dead and who.is_due(what):
                if who.interrupted:
                    who.dies = ""
                    raise KeyboardInterrupt
                who.dead = True
                # What is written after this, by whatever cleans up, a killed process would not have written.
                left = who.state.with_name(LEFT)
                shutil.copytree(who.state, left, symlinks=True, copy_function=_copied)
            self.alive()
            who.points.append(what)

    def alive(self) -> None:
        """Raises Killed where the one at work is dead."""
        if self.who is not None and self.who.dead:
            raise Killed

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        self.alive()
        assert command.argv[:2] == ("docker", "--host"), command.argv
        host = self.hosts[command.argv[2].rpartition("@")[2]]
        words = list(command.argv[3:])
        if host.silent:
            return self._said(command, 1, "", host.silent)
        if words[:1] == ["info"] or (words[0] == "config" and self._is_note(words)):
            return self._note(command, words)
        for count in (2, 1):
            name = "_".join(words[:count]).replace("-", "_")
            answer: Callable[..., tuple[int, str | bytes]] | None = getattr(self, f"_{name}", None)
            if answer is not None:
                with self._lock:
                    code, said = answer(host, words[count:], command)
                return self._said(command, code, said if code == 0 else "", said if code else "")
        raise AssertionError(f"nobody knows docker {' '.join(words)}")

    @staticmethod
    def _said(command: Command, code: int, out: str | bytes, error: str | bytes = "") -> Completed:
        def whole(text: str | bytes) -> bytes:
            return text.encode() if isinstance(text, str) else text

        return Completed(command, code, whole(out), whole(error))

    # What is kept in the Swarm's own store.

    @staticmethod
    def _is_note(words: list[str]) -> bool:
        return words[1] in {"create", "inspect"} or any(_LABEL in w for w in words) or words[2][:2] == "id"

    def _note(self, command: Command, words: list[str]) -> Completed:
        if words[1] in {"create", "rm"}:
            name = words[-2] if words[1] == "create" else self.store.name_of(words[-1])
            self.changes(f"note {words[1]} {name}")
        asked = Command((command.argv[0], *words), stdin=command.stdin)
        return self.store.run(asked)

    def _config_ls(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, "\n".join(sorted(self.objects["config"]))

    def _secret_ls(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, "\n".join(sorted(self.objects["secret"]))

    def _config_rm(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        return self._object_rm("config", words[0])

    def _secret_rm(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        return self._object_rm("secret", words[0])

    def _object_rm(self, kind: str, name: str) -> tuple[int, str]:
        if name in self.used(kind):
            return 1, f"{kind} '{name}' is in use by the following service"
        self.changes(f"{kind} rm")
        self.objects[kind].remove(name)
        return 0, name

    def used(self, kind: str) -> set[str]:
        """Names of configs or secrets that services have."""
        return {name for made in self.services.values() for name in made[f"_{kind}s"]}

    # Nodes and daemons.

    def _version(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, "26.1.5\n"

    def _node_ls(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        assert words == ["--format", "{{.Hostname}} {{.ManagerStatus}}"], words
        return 0, "\n".join(f"{name} Reachable" for name in self.hosts)

    def _system_dial_stdio(self, _: Host, __: list[str], command: Command) -> tuple[int, str]:
        assert (command.stdin or b"").startswith(b"GET /v1.44/nodes ")
        return 0, nodes_answer({name: self.labels.get(name, "") for name in self.hosts})

    def _node_update(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        self.changes("node update")
        option, label, node = words
        assert option == "--label-add", words
        self.labels[node.removeprefix("node-")] = label.partition("=")[2]
        self._settle()
        return 0, node

    def _network_inspect(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        if not self.services:
            return 1, f"Error response from daemon: network {words[0]} not found"
        return 0, json.dumps([{"Id": "net1", "IPAM": {"Config": [{"Subnet": SUBNET}]}, "Options": {}}])

    def _network_ls(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, "net1" if self.services else ""

    # Images, volumes, and what is written into them.

    def _image_inspect(self, host: Host, words: list[str], __: Command) -> tuple[int, str]:
        there = [name for name in words[2:] if name in host.images]
        lines = "\n".join(f"sha256:{name} {json.dumps([name])} []" for name in there)
        return 0, lines

    def _pull(self, host: Host, words: list[str], _: Command) -> tuple[int, str]:
        self.changes(f"pull on {host.name}")
        host.images.add(words[-1])
        return 0, ""

    def _import(self, host: Host, words: list[str], _: Command) -> tuple[int, str]:
        host.images.add(words[-1])
        return 0, ""

    def _container_inspect(self, host: Host, words: list[str], _: Command) -> tuple[int, str]:
        if words[0] == "--format":
            return 0 if host.slots or f"{self.project}-state" in host.images else 1, "id"
        there = {c.id: c for c in host.containers}
        return 0, json.dumps([self._facts(there[each]) for each in words if each in there])

    def _container_create(self, host: Host, _: list[str], __: Command) -> tuple[int, str]:
        host.images.add(f"{self.project}-state")
        return 0, "id"

    def _cp(self, host: Host, words: list[str], command: Command) -> tuple[int, str | bytes]:
        if words[0] == "-":
            self.changes(f"state to {host.name}")
            with tarfile.open(fileobj=io.BytesIO(command.stdin or b"")) as tar:
                host.slots[tar.getnames()[0]] = command.stdin or b""
            return 0, ""
        slot = words[0].rpartition("/")[2]
        return (0, host.slots[slot]) if slot in host.slots else (1, "Could not find the file")

    def _volume_create(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        return 0, words[-1]

    def _run(self, host: Host, words: list[str], command: Command) -> tuple[int, str]:
        assert "--rm" in words
        self.changes(f"folders of {host.name}")
        with tarfile.open(fileobj=io.BytesIO(command.stdin or b"")) as tar:
            for entry in tar:
                if (file := tar.extractfile(entry)) is not None:
                    host.folders[entry.name] = file.read()
        return 0, ""

    # Services and containers.

    def _stack_deploy(self, _: Host, words: list[str], command: Command) -> tuple[int, str]:
        assert words[-1] == self.project
        data = json.loads(command.stdin or b"{}")
        for kind in ("secret", "config"):
            for each in data.get(f"{kind}s", {}).values():
                if each["name"] not in self.objects[kind]:
                    self.changes(f"{kind} create")
                    self.objects[kind].add(each["name"])
        for name, entry in data["services"].items():
            names = {
                f"_{kind}s": sorted(data[f"{kind}s"][e["source"]]["name"] for e in entry.get(f"{kind}s", ()))
                for kind in ("secret", "config")
            }
            made = {**entry, **names, "force": self.services.get(name, {}).get("force", 0)}
            if self.services.get(name) != made:
                self.changes(f"deploy {name}")
                self.log.append(f"{'update' if name in self.services else 'create'} {name}")
                self.services[name] = made
            self._settle()
        return 0, ""

    def _service_update(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        name = words[-1].removeprefix(f"{self.project}_")
        self.changes(f"again {name}")
        self.log.append(f"again {name}")
        self.services[name] = {**self.services[name], "force": self.services[name]["force"] + 1}
        self._settle()
        return 0, ""

    def _service_rm(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        name = words[0].removeprefix(f"{self.project}_")
        if name not in self.services:
            return 1, f"Error: No such service: {words[0]} not found"
        self.changes(f"remove {name}")
        self.log.append(f"remove {name}")
        del self.services[name]
        self._settle()
        return 0, ""

    def _service_ls(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, "\n".join(f"{self.project}_{name}" for name in self.services)

    def _service_inspect(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        return 0, json.dumps([{"ID": n, "Spec": {"Name": n}} for n in words])

    def _service_ps(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        return 0, "\n".join(f"task-of-{name}" for name in words[2:])

    def _inspect(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        found = []
        for task in words[2:]:
            full = task.removeprefix("task-of-")
            made = self.services[full.removeprefix(f"{self.project}_")]
            refused = full == f"{self.project}_{self._machine(made).refuses}"
            state = {"State": "rejected", "Err": NO_IMAGE} if refused else {"State": "running"}
            created = "2026-11-27T03:00:00Z"
            found.append(
                {"ServiceID": full, "DesiredState": "running", "Status": state, "CreatedAt": created}
            )
        return 0, json.dumps(found)

    def _stack_rm(self, _: Host, words: list[str], __: Command) -> tuple[int, str]:
        assert words == [self.project]
        for name in list(self.services):
            self.changes(f"remove {name}")
            del self.services[name]
            self._settle()
        for kind in ("secret", "config"):
            self.changes(f"{kind}s rm")
            self.objects[kind].clear()
        return 0, ""

    def _ps(self, host: Host, words: list[str], _: Command) -> tuple[int, str]:
        assert words[:3] == ["-a", "-q", "--no-trunc"], words
        return 0, "\n".join(c.id for c in host.containers)

    def _exec(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, ""

    def _logs(self, _: Host, __: list[str], ___: Command) -> tuple[int, str]:
        return 0, ""

    def _machine(self, made: dict[str, Any]) -> Host:
        (constraint,) = made["deploy"]["placement"]["constraints"]
        return self.hosts[constraint.removeprefix(NODE_LABEL)]

    def _settle(self) -> None:
        """Let each machine run what the services say, as Swarm does a moment later."""
        for name, made in self.services.items():
            host = self._machine(made)
            mine = [c for c in host.containers if c.service == name]
            if any(c.made == made for c in mine) or self.labels.get(host.name) != host.name:
                continue
            host.containers = [c for c in host.containers if c.service != name]
            if host.refuses != name:
                number = next(self._numbers)
                created = f"2026-11-27T03:00:00.{number:09d}Z"
                host.containers.append(Container(f"container{number}", name, made, created))
        for host in self.hosts.values():
            host.containers = [c for c in host.containers if c.service in self.services]

    def _facts(self, container: Container) -> dict[str, Any]:
        made = container.made
        labels = {
            "com.docker.stack.namespace": self.project,
            "com.docker.swarm.service.name": f"{self.project}_{container.service}",
            **made["labels"],
        }
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "Id": container.id, "Name": f"/{self.project}_{container.service}.node.{container.id}",
            "Config": {"Labels": labels, "Image": made["image"], "User": made["user"]},
            "State": {"Status": "running", "Pid": 7, "StartedAt": started, "ExitCode": 0},
            "Image": f"sha256:{made['image']}", "RestartCount": 0, "HostConfig": {},
            "Created": container.created,
        }  # fmt: skip


def _copied(source: str, target: str) -> None:
    """What another thread was about to rename is not there any more."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)

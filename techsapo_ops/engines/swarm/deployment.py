"""What is really deployed, and how: the rendered stack file, its configs and secrets named by content."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.container_facts import STACK, STACK_DEFINITION
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.mac import mac
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.containers.engine import difference
from techsapo_ops.engines.swarm.shared_state import check
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Mismatch
from techsapo_ops.stack.stack_file import FOLDERS, STACK_YML, parsed
from techsapo_ops.stack.step import Action, Step

if TYPE_CHECKING:
    from techsapo_ops.engines.swarm.recorded import SwarmStack


_NOTE = "objects.json"
"""In the state directory: names of the last two generations of configs and secrets, by kind."""
_KINDS = {"configs": "config", "secrets": "secret"}
_DIGITS = 16
_LONGEST = 64
"""Characters that Docker lets a name of a config or a secret have."""
_DEPLOY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the state directory that a service finds in a volume of its machine."""

    service: str
    volume: str
    source: Path
    uid: int
    """Who reads it: the user of the service's container."""


class Deployment:
    """The stack that `desired` comes to, with the files that are on disk now.

    `names_key` is what names of secrets are made with: by a plain digest in a name, which every manager
    lists, a short secret could be guessed.
    """

    def __init__(self, desired: Desired, names_key: bytes) -> None:
        text = next(file.content for file in desired.files if file.path == STACK_YML)
        self._data = parsed(text)
        self._project = desired.topology.spec.project
        self._folder = (desired.topology.layout.config / STACK_YML).parent
        self._rendered = {desired.topology.layout.config / file.path: file for file in desired.files}
        self._key = names_key
        self._names: dict[tuple[str, str], str] = {}

    def folders(self) -> tuple[Folder, ...]:
        """What is to be written into volumes before the services start."""
        return tuple(
            Folder(name, volume, (self._folder / source).resolve(), int(str(entry["user"]).partition(":")[0]))
            for name, entry in self._data["services"].items()
            for volume, source in entry.get(FOLDERS, {}).items()
        )

    def definition(self, service: str) -> str:
        """Digest of all that `service` is deployed with. Raises OpsError where a secret was not made yet."""
        value = [self._entry(service), self._data.get("networks", {})]
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def stack(self, services: Collection[str]) -> str:
        """The stack file for `docker stack deploy`, with these services alone."""
        entries = {name: self._labelled(name) for name in services}
        used = {
            kind: {each["source"] for entry in entries.values() for each in entry.get(kind, ())}
            for kind in ("configs", "secrets")
        }
        data = {
            "version": "3.12",
            "services": entries,
            "networks": self._data.get("networks", {}),
            "volumes": {
                mount["source"]: {}
                for entry in entries.values()
                for mount in entry.get("volumes", ())
                if mount["type"] == "volume"
            },
            **{
                kind: {
                    source: {"name": self._name(kind, source), "file": str(self._file(kind, source))}
                    for source in sorted(sources)
                }
                for kind, sources in used.items()
                if sources
            },
        }
        return json.dumps({key: value for key, value in data.items() if value})

    def object_names(self) -> dict[str, frozenset[str]]:
        """Names of all configs and of all secrets that the stack has now."""
        return {
            kind: frozenset(
                self._name(kind, each["source"])
                for entry in self._data["services"].values()
                for each in entry.get(kind, ())
            )
            for kind in ("configs", "secrets")
        }

    def _labelled(self, service: str) -> dict[str, Any]:
        entry = self._deployed(service)
        labels: Mapping[str, str] = entry.get("labels", {})
        return {**entry, "labels": {**labels, STACK_DEFINITION: self.definition(service)}}

    def _deployed(self, service: str) -> dict[str, Any]:
        """What Swarm is told of a service: an image is built, and folders are written, before."""
        return {k: v for k, v in self._data["services"][service].items() if k not in {"build", FOLDERS}}

    def _entry(self, service: str) -> dict[str, Any]:
        entry = self._deployed(service)
        for kind in ("configs", "secrets"):
            if kind in entry:
                entry[kind] = [{**each, "source": self._name(kind, each["source"])} for each in entry[kind]]
        return entry

    def _name(self, kind: str, source: str) -> str:
        if (kind, source) not in self._names:
            digest = self._digest(kind, source)[:_DIGITS]
            room = _LONGEST - len(digest) - 2
            project = self._project[: room // 2]
            self._names[kind, source] = f"{project}_{source[-(room - len(project)) :].strip('.-_')}_{digest}"
        return self._names[kind, source]

    def _digest(self, kind: str, source: str) -> str:
        path = self._file(kind, source)
        rendered = self._rendered.get(path)
        try:
            content = rendered.content.encode() if rendered is not None else path.read_bytes()
        except OSError as error:
            raise OpsError(
                msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror),
                msg("`techsapo up` generates the secrets that the spec does not set"),
            ) from None
        if kind == "configs":
            return hashlib.sha256(content).hexdigest()
        return mac(self._key, "swarm secret", content).hex()

    def _file(self, kind: str, source: str) -> Path:
        named: Path = self._folder / self._data[kind][source]["file"]
        return named.resolve() if ".." in named.parts else named


def prune(fleet: Fleet, state: Path, project: str, now: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Remove configs and secrets that are neither of `now` nor of the apply before it: each change leaves the
    ones before it, and Swarm itself may go back to the last.

    `now` has the names of all that the stack uses, by kind. Returns the names removed; one that a service
    still has is refused by Swarm and stays. Raises OpsError where no manager answers.
    """
    known = _noted(state / _NOTE)
    last = known[-1] if known else {}
    current = {kind: sorted(names) for kind, names in now.items()}
    generations = known if last == current else [*known[-1:], current]
    needed = {kind: {name for each in generations for name in each.get(kind, ())} for kind in _KINDS}
    removed: list[str] = []
    manager, label = fleet.manager, ("--filter", f"label={STACK}={project}", "--format", "{{.Name}}")
    with ThreadPoolExecutor(len(_KINDS)) as pool:
        listed = list(pool.map(lambda word: manager.call(word, "ls", *label).split(), _KINDS.values()))
    for (kind, word), there in zip(_KINDS.items(), listed, strict=True):
        unused = sorted(set(there) - needed[kind])
        removed += [name for name in unused if manager.attempt(word, "rm", name).code == 0]
    if generations != known:
        write_atomic(state / _NOTE, json.dumps(generations, indent=1).encode(), 0o600)
    return tuple(removed)


def _noted(note: Path) -> list[dict[str, list[str]]]:
    with suppress(FileNotFoundError, ValueError):  # what is not known is not kept for going back
        generations = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(generations, list):
            return generations
    return []


class Deployer:
    """Changes services of `stack`, while this process is the one at work. Every method may raise OpsError."""

    def __init__(self, stack: SwarmStack) -> None:
        self._stack = stack
        self._deploying = threading.Lock()
        self._deployed: set[str] = set()
        self.ready: set[str] = set()
        """Services that are known to be ready, so that what needs them may start."""

    def deploy(self, step: Step, together: Sequence[Step], desired: Desired, deployment: Deployment) -> None:
        """Deploy the service of `step`, and with it all of `together` that can be started now beside it."""
        with self._deploying:
            if step.service in self._deployed:
                return
            names = {each.service for each in together if each.action is Action.CREATE} - self._deployed
            services = {s.name: s for s in desired.topology.services}
            pending = {each.service for each in together} - self.ready
            free = {name for name in names if not pending.intersection(services[name].needs)}
            wanted = sorted({step.service, *free})
            done = self._hand_over(deployment, wanted)
            if done.code != 0 and len(wanted) > 1:  # of several it does not say which one
                wanted = [step.service]
                done = self._hand_over(deployment, wanted)
            if done.code != 0:
                said = self._stack.fleet.manager.words(done)
                raise OpsError(msg("Swarm refuses {service}: {said}", service=step.service, said=said))
            self._deployed.update(wanted)

    def again(self, name: str, *options: str) -> None:
        """Let Swarm start a service anew as it is, with `options` of `docker service update`."""
        check(self._stack.layout.state)
        full = f"{self._stack.project}_{name}"
        self._stack.fleet.manager.call(
            "service", "update", "--force", "--detach", "--quiet", *options, full, timeout=_DEPLOY_SECONDS
        )

    def remove(self, name: str) -> None:
        """Remove a service; one that is gone already is none to remove."""
        check(self._stack.layout.state)
        done = self._stack.fleet.manager.attempt("service", "rm", f"{self._stack.project}_{name}")
        if done.code != 0 and "not found" not in done.output:
            raise OpsError(
                msg("cannot remove {name}: {output}", name=name, output=self._stack.fleet.manager.words(done))
            )

    def _hand_over(self, deployment: Deployment, services: Collection[str]) -> Completed:
        check(self._stack.layout.state)
        options = ("--resolve-image", "never", "--detach=true", "--compose-file", "-")
        argv = self._stack.fleet.manager.streaming("stack", "deploy", *options, self._stack.project).argv
        call = Command(argv, stdin=deployment.stack(services).encode())
        return self._stack.fleet.runner.run(call, timeout=_DEPLOY_SECONDS)


def mismatches(
    stack: SwarmStack, desired: Desired, deployment: Deployment, services: Sequence[str]
) -> tuple[Mismatch, ...]:
    """How the containers of `services` differ from what would be deployed now."""
    glance = stack.glance()
    units = desired.containers
    machines = {s.name: s.machine.name for s in desired.topology.services}
    differing = []
    for name in services:
        machine = machines.get(name, "")
        if machine in stack.fleet.unreachable:
            why = stack.fleet.unreachable[machine]
            words = msg("{machine} can't be reached: {why}", machine=machine, why=why)
            differing.append(Mismatch(name, words, answered=False))
            continue
        container = glance.containers.get(name)
        what = difference(units[name], container, glance.images)
        if not what and container is not None and container.definition != deployment.definition(name):
            what = msg("the container's settings, configs or secrets differ from the stack file")
        if what:
            differing.append(Mismatch(name, what, restart=True))
    return tuple(differing)

"""Docker and Docker Compose, through their command line."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.container_facts import PROJECT, STACK, ContainerFacts, container_facts
from techsapo_ops.adapters.process import Command, Completed, Runner, Watch, watching
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_TIMEOUT = 60.0
_PROGRESS = re.compile(r" ?(Container|Network|Volume) \S+  \w+$")
_ENVIRONMENT = {"COMPOSE_IGNORE_ORPHANS": "1", "COMPOSE_ANSI": "never", "DOCKER_CLI_HINTS": "false"}


class Docker:
    """The docker client; every method may raise OpsError with the client's own words."""

    def __init__(self, runner: Runner, binary: str = "docker", host: str | None = None) -> None:
        """`host`: that daemon, as `docker --host` takes it, in place of this machine's."""
        self.runner = runner
        self.unreachable: dict[str, str] = {}
        """By name the machines that did not answer the last look, and why; none of this host alone."""
        self.remembered: dict[str, Any] = {}
        """What its users remember of what it said, by what they call it."""
        self._elsewhere = host is not None
        self._client = (binary,) if host is None else (binary, "--host", host)

    def watched(self, watch: Watch) -> Docker:
        """The same daemon; what is asked of it ends when `watch` raises OpsError."""
        watched = copy.copy(self)
        watched.runner = watching(self.runner, watch)
        return watched

    def answers(self, timeout: float = 10.0) -> str | None:
        """The daemon's version; None where none answers, or where this user may not talk to it."""
        try:
            done = self._run(("version", "--format", "{{.Server.Version}}"), timeout)
        except OpsError:
            return None
        return done.stdout.decode().strip() or None if done.code == 0 else None

    def compose_version(self) -> str | None:
        """The version of the Compose plugin; None where there is none."""
        done = self._run(("compose", "version", "--short"))
        return done.stdout.decode().strip() if done.code == 0 else None

    def stack_containers(self, stack: str, timeout: float = _TIMEOUT) -> tuple[ContainerFacts, ...]:
        """All containers of a stack of Swarm's on this node, those that do not run included."""
        filtered = ("ps", "-a", "-q", "--no-trunc", "--filter", f"label={STACK}={stack}")
        return self._inspect(self._checked(filtered, timeout).stdout.decode().split(), timeout)

    def containers(self, project: str | None = None) -> tuple[ContainerFacts, ...]:
        """All containers of a compose project, those that do not run included; None: of every project."""
        label = f"label={PROJECT}={project}" if project is not None else f"label={PROJECT}"
        listed = self._checked(("ps", "-a", "-q", "--no-trunc", "--filter", label))
        ids = listed.stdout.decode().split()
        return self.inspect(ids)

    def inspect(self, ids: Sequence[str]) -> tuple[ContainerFacts, ...]:
        """Facts of these containers; one that is gone meanwhile is left out."""
        return self._inspect(ids, _TIMEOUT)

    def _inspect(self, ids: Sequence[str], timeout: float) -> tuple[ContainerFacts, ...]:
        if not ids:
            return ()
        done = self._run(("container", "inspect", *ids), timeout)
        if done.code != 0 and b"No such container" not in done.stderr:
            raise self._failure(msg("container inspect"), done)
        facts = [container_facts(entry) for entry in json.loads(done.stdout or b"[]")]
        return tuple(container for container in facts if container is not None)

    def image_ids(self, references: Iterable[str], timeout: float = _TIMEOUT) -> dict[str, str]:
        """Image id by reference, for those references that are present here."""
        wanted = list(dict.fromkeys(references))
        if not wanted:
            return {}
        form = "{{.Id}} {{json .RepoTags}} {{json .RepoDigests}}"
        done = self._run(("image", "inspect", "--format", form, *wanted), timeout)
        if done.code != 0 and b"No such image" not in done.stderr:
            raise self._failure(msg("image inspect"), done)
        known: dict[str, str] = {}
        for line in done.stdout.decode().splitlines():
            image, _, names = line.partition(" ")
            if not names:  # the empty line for none at all
                continue
            tags, digests = _two_lists(names)
            known[image] = image
            known.update({full_reference(name): image for name in (*tags, *digests)})
        return {name: known[full_reference(name)] for name in wanted if full_reference(name) in known}

    def image_names(self, repository: str) -> dict[str, str]:
        """Image id by reference, for the tagged images of a repository that are present here."""
        form = "{{.Repository}}:{{.Tag}} {{.ID}}"
        listed = self._checked(("image", "ls", "--no-trunc", "--format", form, repository))
        pairs = (line.split() for line in listed.stdout.decode().splitlines())
        return {name: image for name, image in pairs if not name.endswith(":<none>")}

    def publisher(self, port: int) -> str | None:
        """Name of the running container that TCP `port` of this host leads into; None for none."""
        listed = self._checked(("ps", "--filter", f"publish={port}", "--format", "{{.Names}}"))
        return next(iter(listed.stdout.decode().split()), None)

    def execute(
        self, container: str, command: Command, *, user: str | None = None, timeout: float = _TIMEOUT
    ) -> Completed:
        """Run `command` inside a running container; its `env` is handed over without showing in argv."""
        return self.runner.run(self.entering(container, command, user=user), timeout=timeout)

    def entering(self, container: str, command: Command, *, user: str | None = None) -> Command:
        """The call that runs `command` inside a running container, to be read or fed while it runs."""
        options = ["exec", "-it" if command.terminal else "-i"]
        if user is not None:
            options += ["--user", user]
        if command.cwd is not None:
            options += ["--workdir", str(command.cwd)]
        for name in command.env:
            options += ["--env", name]
        argv = (*self._client, *options, container, *command.argv)
        return Command(argv, command.env, command.stdin, launched=command.program, terminal=command.terminal)

    def beside(self, volumes: Sequence[str], image: str, user: str, folder: str, command: Command) -> Command:
        """The call that runs `command` in a new container beside another, which need not run.

        It has the other's `volumes`, as options of `docker run`, and no network; it works in `folder` as
        `user`, and is gone when `command` ends.
        """
        # Without a log: the daemon would write all that goes through the pipe to its disk as well.
        options = ["run", "--rm", "-i", "--log-driver", "none", "--network", "none", "--pull", "never"]
        # An image that Compose has built has its project's labels, which would make this one of the stack.
        options += ["--label", f"{PROJECT}=", "--user", user]
        options += [*volumes, "--workdir", folder, "--entrypoint", command.argv[0]]
        for name in command.env:
            options += ["--env", name]
        argv = (*self._client, *options, image, *command.argv[1:])
        return Command(argv, command.env, command.stdin, launched=command.program)

    def compose(self, project: str, file: Path, arguments: Sequence[str], *, timeout: float) -> Completed:
        """Run `docker compose` on one file of a project; paths in it are relative to its folder."""
        argv = (
            "compose", "--project-name", project, "--project-directory", str(file.parent),
            "--file", str(file), *arguments,
        )  # fmt: skip
        return self._run(argv, timeout, _ENVIRONMENT)

    def call(self, *arguments: str, timeout: float = _TIMEOUT) -> str:
        """Run any docker command and return its output. Raises OpsError when it fails."""
        return self._checked(arguments, timeout).stdout.decode(errors="replace")

    def attempt(self, *arguments: str, timeout: float = _TIMEOUT) -> Completed:
        """Run any docker command and return how it ended."""
        return self._run(arguments, timeout)

    def streaming(self, *arguments: str) -> Command:
        """The call of a docker command that is read while it runs."""
        return Command((*self._client, *arguments), _ENVIRONMENT)

    def _run(
        self, arguments: Sequence[str], timeout: float = _TIMEOUT, env: Mapping[str, str] | None = None
    ) -> Completed:
        return self.runner.run(Command((*self._client, *arguments), env or {}), timeout=timeout)

    def _checked(self, arguments: Sequence[str], timeout: float = _TIMEOUT) -> Completed:
        done = self._run(arguments, timeout)
        if done.code != 0:
            raise self._failure(arguments[0], done)
        return done

    def words(self, done: Completed) -> str:
        """What the client said of a call that failed, for a message."""
        return done.output or msg("exit code {code}", code=done.code)

    def _failure(self, what: str, done: Completed) -> OpsError:
        said = self.words(done)
        if "Cannot connect to the Docker daemon" in said:
            return OpsError(
                msg("no Docker daemon answers"),
                msg("start Docker on its host; `techsapo hosts check` shows what each host lacks")
                if self._elsewhere
                else msg("start Docker, or use the native engine: --engine native"),
            )
        if "permission denied" in said:
            return OpsError(
                msg("this user is not allowed to use the Docker daemon"),
                msg("run as root, or add this user to the group docker"),
            )
        return OpsError(msg("`docker {what}` failed: {said}", what=what, said=said))


def full_reference(reference: str) -> str:
    """`redis` → `redis:latest`, `docker.io/library/redis:8` → `redis:8`: the form that the daemon lists."""
    if reference.startswith("sha256:"):
        return reference
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    tagged = "@" in name or ":" in name.rpartition("/")[2]
    return name if tagged else f"{name}:latest"


def without_progress(text: str) -> str:
    """What Docker Compose said, without the lines that tell how far each container, network or volume is."""
    said = [line for line in text.splitlines() if not _PROGRESS.match(line)]
    return "\n".join(said).strip() or text


def _two_lists(text: str) -> tuple[list[str], list[str]]:
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(text)
    second, _ = decoder.raw_decode(text[end:].strip())
    return first or [], second or []

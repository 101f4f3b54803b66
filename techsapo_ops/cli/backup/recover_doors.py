"""What a recovery needs of the command line: the named repository, and the stack of a spec."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote

import typer
from typing_extensions import override

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import which
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.apply.audit_database import AuditDatabase
from techsapo_ops.apply.outcome import Listener
from techsapo_ops.apply.transaction import INTERRUPTED
from techsapo_ops.backup.recover.doors import Prospect, join, look_at_hosts
from techsapo_ops.backup.recover.draft import Draft
from techsapo_ops.backup.repository.restic import Restic
from techsapo_ops.cli.apply.plan_view import Progress
from techsapo_ops.cli.environment import acting_user, runner
from techsapo_ops.cli.jobs.runs import cron_table, install_cron
from techsapo_ops.cli.open_stack import choose_engine, host_report, open_stack, topology_for
from techsapo_ops.cli.output import Output, interactive
from techsapo_ops.cli.project import Project, open_project, read_secret_from
from techsapo_ops.engines.opening import Opening
from techsapo_ops.engines.swarm.machines_note import fleet_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec import NO_ENVIRONMENT
from techsapo_ops.spec.load import load
from techsapo_ops.spec.secret import Secret
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.spec.variables import parse_dotenv
from techsapo_ops.stack.places import EngineName
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.doctor.diagnosis import examine

_REST_USER = re.compile(r"(rest:https?://)([^/@:\s]+)@")


def place_of(repository: str) -> str:
    """The repository as restic names it, a folder by its whole path."""
    return repository if ":" in repository else str(user_path(repository).absolute())


def restic_at(place: str, password_file: Path | None, options: Sequence[str], cache: Path) -> Restic:
    """The repository; asks on a terminal for the passwords that nothing tells. Raises OpsError."""
    binary = which("restic")
    if binary is None:
        raise OpsError(msg("restic is not on PATH"), "apt-get install restic")
    pairs = {}
    for each in options:
        key, equals, value = each.partition("=")
        if not equals:
            raise OpsError(
                msg("-o {each}: there is no `=`", each=each),
                msg("write -o KEY=VALUE, as for restic"),
                exit_code=2,
            )
        pairs[key] = value
    password = _password(password_file)
    return Restic(runner(), binary, _with_password(place), password, cache, pairs, given="--from")


def _with_password(place: str) -> str:
    """The address of a REST server with the password of the user that it names: restic has it by its
    environment, where nobody sees it.
    """
    named = _REST_USER.match(place)
    if named is None:
        return place
    user, password = unquote(named[2]), os.environ.get("RESTIC_REST_PASSWORD", "")
    if not password and interactive():
        password = typer.prompt(f"password of {harmless(user)} at the REST server", hide_input=True, err=True)
    if not password:
        raise OpsError(
            msg("the password of user {user} at the REST server is missing", user=user),
            msg("set RESTIC_REST_PASSWORD"),
            exit_code=2,
        )
    return f"{named[1]}{named[2]}:{quote(password, safe='')}@{place[named.end() :]}"


def _password(file: Path | None) -> Secret:
    named = file or (
        Path(os.environ["RESTIC_PASSWORD_FILE"]) if os.environ.get("RESTIC_PASSWORD_FILE") else None
    )
    if named is not None:
        value = read_text(named, what=msg("password")).rstrip("\r\n")
    elif not (value := os.environ.get("RESTIC_PASSWORD", "")) and interactive():
        value = typer.prompt("password of the repository", hide_input=True, err=True)
    if not value:
        raise OpsError(
            msg("the repository's password is missing"),
            msg("name a file with --password-file, or set RESTIC_PASSWORD"),
            exit_code=2,
        )
    return Secret(value)


@dataclass(frozen=True, slots=True)
class RecoverDoors:
    """The doors of a recovery; `out` shows how the stack comes up."""

    out: Output

    @property
    def listener(self) -> Listener:
        """Who follows an apply."""
        return _Starting(self.out)

    def prospect(self, draft: Draft, engine: str | None) -> Prospect:
        """The stack of `draft` on this host. Raises SpecError for a draft that does not hold here."""
        loaded = load(
            draft.text, _variables(draft), lambda path: _secret(draft, path), filename=str(draft.file),
            environment=draft.environment,
        )  # fmt: skip
        project = Project(draft.file, loaded)
        topology, _ = choose_engine(project, cast("EngineName | None", engine))
        opening = Opening(runner())
        stack = Stack(
            topology=topology,
            engine=opening.engine(topology),
            runner=opening.runner,
            directory=project.directory,
            templates=Templates(),
            engines=Opening(runner()).engine,
            user=acting_user(),
            following=AuditDatabase(opening.runner),
        )
        diagnosis = examine(stack, host_report(project, topology))
        if not topology.machines:
            return Prospect(stack, diagnosis, there=_present(stack))
        # Ports are of the hosts, whose Docker is asked for them.
        findings = tuple(each for each in diagnosis.findings if each.topic != "port")
        hosts = look_at_hosts(topology, self._fleet(topology))
        return Prospect(stack, replace(diagnosis, findings=findings), there=_present(stack), hosts=hosts)

    def gather(self, file: Path, environment: str | None, engine: str | None) -> None:
        """Let the hosts of the spec that was placed be one Swarm. Raises OpsError."""
        topology = topology_for(
            open_project(file, environment or NO_ENVIRONMENT), cast("EngineName | None", engine)
        )
        join(topology, self._fleet(topology), self.out.say, time.sleep)

    def _fleet(self, topology: Topology) -> Fleet:
        return fleet_of(topology.machines, runner())

    def open(self, file: Path, environment: str | None, engine: str | None) -> Stack:
        """The stack of the spec that was placed. Raises OpsError."""
        project = open_project(file, environment or NO_ENVIRONMENT)
        return open_stack(project, cast("EngineName | None", engine), tell=self.out.say)

    def install_schedule(self, file: Path, environment: str | None) -> None:
        """Let cron start the jobs. Raises OpsError."""
        install_cron(open_project(file, environment or NO_ENVIRONMENT), self.out)

    def remove_schedule(self, file: Path, environment: str | None) -> None:
        """Take that back."""
        cron_table(open_project(file, environment or NO_ENVIRONMENT)).remove()


class _Starting(Progress):
    """An apply within a recovery: `techsapo up` would complete the stack, and leave it without its data. The
    command that recovers says what to do.
    """

    @override
    def warn(self, text: str) -> None:
        if text != INTERRUPTED:
            super().warn(text)


def _variables(draft: Draft) -> Mapping[str, str]:
    """The variables of this process over those of the `.env` that came along."""
    if draft.dotenv is None:
        return os.environ
    return {**parse_dotenv(read_text(draft.dotenv), filename=str(draft.dotenv)), **os.environ}


def _secret(draft: Draft, path: str) -> str:
    there = draft.files.get(path)
    if there is not None:
        return there.read_text(encoding="utf-8")
    return read_secret_from(draft.file.parent)(path)


def _present(stack: Stack) -> tuple[str, ...]:
    """Services of a stack of this name that are there already, and volumes with their data.

    Of several hosts volumes stay on one that has left its Swarm.
    """
    present: list[str] = []
    for source in (lambda: stack.engine.observe().services, lambda: _data(stack)):
        with suppress(OpsError):  # the engine is not there: the diagnosis says so
            present += source()
    return tuple(present)


def _data(stack: Stack) -> list[str]:
    nothing = stack.engines(replace(stack.topology, services=()))
    kinds = dict.fromkeys(service.kind for service in stack.topology.services)
    return [f"data of {name}" for kind in kinds for name in nothing.left(kind)]

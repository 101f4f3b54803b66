"""What is done with MariaDB, and throwaway copies of it that a backed-up dump is fed into."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import access_list, owners
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.cluster_key import made_key
from techsapo_ops.services.mysql import installation, logins
from techsapo_ops.services.mysql.galera import KEY, NO_WORD, cluster_accounts, gone_command
from techsapo_ops.services.mysql.kind import NO_TLS
from techsapo_ops.services.mysql.session import PASSES, administrator
from techsapo_ops.services.runtime import (
    SCRATCH,
    Call,
    Place,
    Runtime,
    Settling,
    ThrowawayContainer,
    ThrowawayProgram,
    logged_in,
)
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.health import Role
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import Probe
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_CLIENTS = ("mariadb", "mysql")
_NO_CLIENTS = ("mariadbd", "mysqld")
_SECONDS = 10.0
_SERVES = frozenset({"Synced", "Donor/Desynced"})
"""States in which a member takes part, by wsrep_local_state_comment."""

_ASKED = "'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_size'"

_QUICK = (
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--skip-name-resolve",
)
"""What a crash would cost is nothing in a throwaway server, and a restore is twice as fast without."""


def missing(stack: Stack) -> Iterator[str]:
    """Which members don't see all of the others, by what each says itself."""
    for service in stack.topology.of_kind("mysql") if stack.topology.machines else ():
        try:
            asking = stack.engine.enter(service.name, RUNTIME.role_question(stack.topology, service))
            said = stack.runner.run(asking, timeout=_SECONDS).stdout.decode(errors="replace")
        except OpsError as error:
            yield msg("{name}: {why}", name=service.name, why=error.message)
            continue
        found = _values(said)
        if found.get("wsrep_cluster_size") != str(len(stack.topology.machines)) or (
            found.get("wsrep_cluster_status") != "Primary"
        ):
            why = RUNTIME.role(stack.topology, said).words or msg("it does not answer")
            yield msg("{name}: {why}", name=service.name, why=why)


def _values(said: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)


class MysqlRuntime(Runtime):
    """Its data folder and its logins are made here, with passwords where the spec has none."""

    client = ("mariadb",)

    @override
    def call(self, stack: Stack, service: Service, words: Sequence[str], *, terminal: bool) -> Call:
        program = words[0]
        if not program.startswith(_CLIENTS) or program.startswith(_NO_CLIENTS):
            return super().call(stack, service, words, terminal=terminal)
        door = administrator(stack)
        argv = (program, *door.options, NO_TLS, *words[1:])
        return logged_in(stack, service, Command(argv, door.env, terminal=terminal))

    @override
    def role_question(self, topology: Topology, service: Service) -> Command:
        # https://mariadb.com/docs/galera-cluster has the words.
        return Command(
            (
                "mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=mysql", "--batch",
                "--skip-column-names", f"--execute=SHOW GLOBAL STATUS WHERE Variable_name IN ({_ASKED})",
            )
        )  # fmt: skip

    @override
    def role(self, topology: Topology, said: str) -> Role:
        found = _values(said)
        if "wsrep_cluster_size" not in found:
            return Role()
        size, state = found["wsrep_cluster_size"], found.get("wsrep_local_state_comment", "?")
        members = msg("{count} of {all} members", count=size, all=len(topology.machines))
        if found.get("wsrep_cluster_status") != "Primary":
            return Role(msg("no quorum: it sees {members}", members=members), wrong=True)
        return Role(
            msg("{state}, quorum: {members}", state=state.lower(), members=members),
            wrong=state not in _SERVES,
        )

    @override
    def question(self, topology: Topology) -> Command | None:
        mysql = topology.spec.mysql
        if topology.machines:
            return None  # a member answers by itself, also before its cluster has the login
        if mysql is None or (secret := logins.known_password(mysql, topology.layout)) is None:
            return None
        select = (
            "mariadb", "--no-defaults", NO_TLS, "--host=127.0.0.1", f"--user={mysql.user}",
            "--batch", "--skip-column-names", "--execute=SELECT 'SELECT 1 answered'",
        )  # fmt: skip
        return Command(select, {"MYSQL_PWD": secret.reveal()})

    @override
    def make_keys(self, topology: Topology) -> None:
        if topology.spec.mysql is not None:
            logins.passwords(topology.spec.mysql, topology)
        if topology.machines:
            made_key(topology.layout.keys / KEY, "mysql")

    @override
    def prepare(self, topology: Topology, runner: Runner) -> None:
        if topology.spec.mysql is not None:
            installation.prepare(topology.spec.mysql, topology, runner)

    @override
    def settling(self, topology: Topology) -> Settling | None:
        mysql = topology.spec.mysql
        if mysql is None:
            return None
        made = logins.passwords(mysql, topology)
        return Settling(
            logins.settle(mysql, made, more=cluster_accounts() if topology.machines else ()),
            msg("the logins of the database can't be set"),
            msg(
                "its volume was made by something else than this stack; `techsapo down --volumes` "
                "deletes it, data and all"
            ),
            passes=PASSES if topology.machines else (),
        )

    @override
    def give_up(self, topology: Topology, machine: str, doors: Callable[[Service], Door | None]) -> str:
        for service in topology.of_kind("mysql"):
            if service.machine is None or service.machine.name == machine:
                continue
            if (door := doors(service)) is None:
                continue
            gone = f"{service.kind}-{machine}"
            program, *rest = gone_command(topology, [gone])
            with suppress(OpsError):  # a host that does not answer: the next member is told
                done = door.run(program, *rest)
                if done.code in (0, NO_WORD):
                    return done.output if done.code == 0 else ""
                return msg("{service} did not take the word that {gone} is gone: {said}",
                           service=service.name, gone=gone, said=done.output)  # fmt: skip
        return ""

    @override
    def throwaway_program(self, service: Service, place: Place) -> ThrowawayProgram:
        password = Secret(secrets.token_hex(24))
        data, init = place.folder / "data", place.folder / "init.sql"
        installation.install(data, place.topology, service.user, place.runner)
        sql = installation.root_sql(password)
        write_atomic(init, sql.encode(), 0o600, owners.ids(service.user))
        runs_as = ("--user=root",) if place.topology.host.root and service.user is None else ()
        argv = (
            executable(service), "--no-defaults", f"--datadir={data}", f"--init-file={init}",
            f"--bind-address={LOOPBACK}", f"--port={place.port}", "--socket=mysqld.sock",
            "--pid-file=mysqld.pid", *_QUICK,
            # A dump is somebody else's until it was compared: its statements read and write files here alone.
            f"--secure-file-priv={place.folder}", "--skip-symbolic-links",
            # As for the installer: its start removes the temporary tables in /tmp otherwise.
            f"--tmpdir={place.folder}",
            *runs_as,
        )  # fmt: skip
        return ThrowawayProgram(argv, Probe("mysql"), "root", password)

    @override
    def throwaway_container(self, service: Service, folder: Path) -> ThrowawayContainer:
        password = Secret(secrets.token_hex(24))
        secret = folder / "root-password"
        write_atomic(secret, password.reveal().encode(), 0o600)
        access_list.let_read(secret, [service.facts.uid])
        argv = ("mariadbd", *_QUICK, f"--bind-address={LOOPBACK}", "--socket=/tmp/mysqld.sock")
        ask = ("mariadb", "--no-defaults", "--host=127.0.0.1", "--user=root", "--execute=SELECT 1")
        ready = Command(ask, {"MYSQL_PWD": password.reveal()})
        environment = (f"MARIADB_ROOT_PASSWORD_FILE={SCRATCH}/root-password", "MARIADB_ROOT_HOST=%")
        return ThrowawayContainer(argv, ready, "root", password, environment)


RUNTIME = MysqlRuntime()

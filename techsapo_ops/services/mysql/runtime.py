"""What is done with MariaDB, and throwaway copies of it that a backed-up dump is fed into."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import let_read, write_atomic
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql import installation, logins
from techsapo_ops.services.mysql.kind import NO_TLS
from techsapo_ops.services.mysql.session import administrator
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
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Probe, Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_CLIENTS = ("mariadb", "mysql")
_NO_CLIENTS = ("mariadbd", "mysqld")

_QUICK = (
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--skip-name-resolve",
)
"""What a crash would cost is nothing in a throwaway server, and a restore is twice as fast without."""


class MysqlRuntime(Runtime):
    """Its data folder and its logins are made here, with passwords where the spec has none."""

    settles: tuple[str, ...] = ()
    """Further statements that are run in its container once it is ready."""
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
    def question(self, topology: Topology) -> Command | None:
        mysql = topology.spec.mysql
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
            logins.settle(mysql, made, more=self.settles),
            msg("the logins of the database can't be set"),
            msg(
                "its volume was made by something else than this stack; `techsapo down --volumes` "
                "deletes it, data and all"
            ),
        )

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
        let_read(secret, [service.facts.uid])
        argv = ("mariadbd", *_QUICK, f"--bind-address={LOOPBACK}", "--socket=/tmp/mysqld.sock")
        ask = ("mariadb", "--no-defaults", "--host=127.0.0.1", "--user=root", "--execute=SELECT 1")
        ready = Command(ask, {"MYSQL_PWD": password.reveal()})
        environment = (f"MARIADB_ROOT_PASSWORD_FILE={SCRATCH}/root-password", "MARIADB_ROOT_HOST=%")
        return ThrowawayContainer(argv, ready, "root", password, environment)


RUNTIME = MysqlRuntime()

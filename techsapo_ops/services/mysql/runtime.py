"""What is done with MariaDB, and throwaway copies of it that a backed-up dump is fed into."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import let_read, sync_directory, write_atomic
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.exporters import CNF, exporter_cnf
from techsapo_ops.services.made_secrets import keep, made_once
from techsapo_ops.services.mysql.accounts import (
    Passwords,
    accounts_sql,
    hosts_of,
    identified,
    statements,
    unlogged,
)
from techsapo_ops.services.mysql.kind import NO_TLS, temporary_folder
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
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Probe, Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.spec.models.servers import Mysql
    from techsapo_ops.stack.stack import Stack

_INSTALL_SECONDS = 180
_PARTIAL = ".mysql.partial-"
_CLIENTS = ("mariadb", "mysql")
_NO_CLIENTS = ("mariadbd", "mysqld")
_QUICK = (
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--skip-name-resolve",
)
"""What a crash would cost is nothing in a throwaway server, and a restore is twice as fast without."""


def passwords(mysql: Mysql, topology: Topology) -> Passwords:
    """The app's: the spec's, else one that is made now, once; and that of the account that migrates.

    The exporter gets the app's in the form that it reads.
    """
    layout, users = topology.layout, {service.kind: service.user for service in topology.services}
    app = mysql.password
    if app is None:
        app = made_once(layout.mysql_password, users.get("app"))
        keep(layout.keys / CNF, exporter_cnf(topology, app.reveal()), users.get("mysqld-exporter"))
    return Passwords(app, made_once(layout.mysql_migrations_password, None))


def known_password(mysql: Mysql, layout: Layout) -> Secret | None:
    """The app's password where there is one yet that this user may read."""
    if mysql.password is not None:
        return mysql.password
    try:
        return Secret(layout.mysql_password.read_text(encoding="utf-8").strip())
    except OSError:
        return None


def settle(mysql: Mysql, made: Passwords, *, more: Sequence[str] = ()) -> Command:
    """What brings an existing server to the spec's database and accounts, as root of its container.

    `more` are statements that come after that.

    That one needs no password there. The image makes the app's on a new volume only; a changed password would
    else never arrive. Raises OpsError for a password that can't stand on one line.
    """
    argv = ("mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root")
    sql = accounts_sql(mysql, made, hosts_of(from_images=True)) + statements(unlogged(more) if more else ())
    return Command(argv, stdin=sql.encode())


def prepare(mysql: Mysql, topology: Topology, runner: Runner) -> None:
    """Passwords, the SQL of each start, and at the first start the data directory itself."""
    service = topology.of_kind("mysql")[0]
    layout = topology.layout
    sql = init_sql(mysql, passwords(mysql, topology), made_once(layout.mysql_root_password, None))
    write_atomic(layout.mysql_init, sql.encode(), 0o600, owners.ids(service.user))
    install(topology.data_dir(service), topology, service.user, runner)
    if (temporary := temporary_folder(topology)) is not None:
        owners.data_folder(temporary, service.user)


def init_sql(mysql: Mysql, made: Passwords, root: Secret) -> str:
    """Statements for `--init-file`, one a line as the server wants them; each may run at every start.

    Raises OpsError for a password that can't stand on one line.
    """
    return accounts_sql(mysql, made, hosts_of(from_images=False)) + root_sql(root)


def root_sql(password: Secret) -> str:
    """Statements that leave no account without a password: root's is `password`, from this host only."""
    lines: list[str] = []
    for host in ("localhost", "127.0.0.1"):
        account = f"'root'@'{host}'"
        lines += [*identified(account, password), f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION"]
    # Those that mariadb-install-db makes without a password: for the host's own name, and nameless ones.
    lines += [
        "DELETE FROM mysql.global_priv WHERE User = '' "
        "OR (User = 'root' AND Host NOT IN ('localhost', '127.0.0.1'))",
        "FLUSH PRIVILEGES",
    ]
    return statements(unlogged(lines))


def install(data: Path, topology: Topology, user: str | None, runner: Runner) -> bool:
    """Make the data directory `data` unless it is there; returns whether it was made.

    It is made under another name and renamed, so that a kill half way leaves nothing that looks whole.
    Raises OpsError with the installer's words.
    """
    for stale in data.parent.glob(f"{_PARTIAL}*"):
        shutil.rmtree(stale)
    if (data / "mysql").is_dir():
        return False
    if data.exists() and any(data.iterdir()):
        raise OpsError(
            msg("{data} is neither empty nor a MariaDB data directory", data=data),
            msg("move the contents of that folder elsewhere and try again"),
        )
    installer = topology.host.binaries.get("mariadb-install-db")
    if installer is None:
        raise OpsError(
            msg("no mariadb-install-db on PATH"), msg("`techsapo doctor --fix` installs mariadb-server")
        )
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=data.parent))
    owners.give(partial, user)
    runs_as = user or ("root" if topology.host.root else None)
    argv = (
        installer,
        "--no-defaults",
        f"--datadir=./{partial.name}",  # the installer, a shell script, breaks a path at its blanks
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        *((f"--user={runs_as}",) if runs_as else ()),
    )
    # A MariaDB that starts removes the temporary tables in its tmpdir: in /tmp also those of the real server.
    done = runner.run(Command(argv, {"TMPDIR": str(partial)}, cwd=data.parent), timeout=_INSTALL_SECONDS)
    if done.code != 0:
        shutil.rmtree(partial)
        raise OpsError(
            msg(
                "mariadb-install-db failed with code {code}:\n{output}",
                code=done.code,
                output=done.output[-2000:],
            )
        )
    partial.chmod(0o750)
    if data.exists():
        data.rmdir()
    os.rename(partial, data)  # noqa: PTH104 - fails on a target that is not empty, as it must
    sync_directory(data.parent)
    return True


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
        if mysql is None or (secret := known_password(mysql, topology.layout)) is None:
            return None
        select = (
            "mariadb", "--no-defaults", NO_TLS, "--host=127.0.0.1", f"--user={mysql.user}",
            "--batch", "--skip-column-names", "--execute=SELECT 'SELECT 1 answered'",
        )  # fmt: skip
        return Command(select, {"MYSQL_PWD": secret.reveal()})

    @override
    def make_keys(self, topology: Topology) -> None:
        if topology.spec.mysql is not None:
            passwords(topology.spec.mysql, topology)

    @override
    def prepare(self, topology: Topology, runner: Runner) -> None:
        if topology.spec.mysql is not None:
            prepare(topology.spec.mysql, topology, runner)

    @override
    def settling(self, topology: Topology) -> Settling | None:
        mysql = topology.spec.mysql
        if mysql is None:
            return None
        made = passwords(mysql, topology)
        return Settling(
            settle(mysql, made, more=self.settles),
            msg("the logins of the database can't be set"),
            msg(
                "this stack did not create the database's volume; `techsapo down --volumes` deletes the "
                "volume with all its data"
            ),
        )

    @override
    def throwaway_program(self, service: Service, place: Place) -> ThrowawayProgram:
        password = Secret(secrets.token_hex(24))
        data, init = place.folder / "data", place.folder / "init.sql"
        install(data, place.topology, service.user, place.runner)
        sql = root_sql(password)
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

"""Makes a MariaDB data directory and the SQL that keeps its database and login as wanted."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import sync_directory, write_atomic
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.made_once import made_once
from techsapo_ops.services.mysql.accounts import (
    Passwords,
    accounts_sql,
    hosts_of,
    identified,
    statements,
    unlogged,
)
from techsapo_ops.services.mysql.configuration import temporary_folder
from techsapo_ops.services.mysql.logins import passwords
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.topology import Topology

_INSTALL_SECONDS = 180
_PARTIAL = ".mysql.partial-"


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
            msg("move its content away and try again"),
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

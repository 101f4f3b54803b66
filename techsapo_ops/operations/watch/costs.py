"""What the answers of a stack cost, from wherever its audit log is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.services.app.kind import told_addresses, told_authorities
from techsapo_ops.services.app.rendered_spec import APP_SPEC
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.engine import Engine, State
from techsapo_ops.stack.own_tls import authorities
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.audit.costs import By, Report, Rows, read_rows, summed
from techsapo_ops.stores.audit.server import AuditServer, audit_server

AUDIT = "audit.sqlite"
_READ_SECONDS = 300.0
_STORES = ("mysql",)
"""Stores that the costs are read from."""


def first_day(days: int) -> datetime:
    """Midnight UTC so many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Books:
    """A stack whose audit log is read."""

    spec: Spec
    topology: Topology
    engine: Engine
    runner: Runner


def costs(books: Books, days: int, by: By) -> Report:
    """Costs of the last `days` days out of the stack's MariaDB or SQLite files. Raises OpsError."""
    since = first_day(days)
    if books.topology.engine == "compose":
        return summed(sum(_from_containers(books, days), Rows()), since, by)
    mysql = _mysql(books)
    databases = sorted(books.topology.layout.data.glob(f"app*/{AUDIT}"))
    if mysql is None and books.topology.of_kind("app")[0].user is not None:
        return summed(sum(_as_its_user(books, databases, days), Rows()), since, by)
    return summed(read_rows(mysql, databases, since), since, by)


def rows_here(server: AuditServer | None, data: Path, days: int) -> Rows:
    """What the audit log of the last `days` days holds, read inside a container of the app whose data
    folder is `data` and whose MariaDB, where it has one, is `server`. Raises OpsError.
    """
    databases = [path for path in (data / AUDIT,) if path.exists()]
    return read_rows(server, databases, first_day(days))


def _as_its_user(books: Books, databases: Sequence[Path], days: int) -> Iterator[Rows]:
    """As the app's user, whose folders they are in: root would follow a link that is put there."""
    topology = books.topology
    for database in databases:
        name = database.parent.name
        argv = (
            topology.host.python, "-P", "-m", "techsapo_ops", "costs", "--rows", "--days", str(days),
            "--file", str(topology.config_dir() / APP_SPEC), "--data", str(database.parent),
        )  # fmt: skip
        asked = books.engine.beside(name, Command(argv), image_of=topology.of_kind("app")[0].name)
        yield _rows(books.runner.run(asked, timeout=_READ_SECONDS), name)


def _from_containers(books: Books, days: int) -> Iterator[Rows]:
    """MariaDB is private to the stack and an SQLite file is in its instance's volume: the app reads both."""
    topology = books.topology
    apps = topology.of_kind("app")
    argv = (
        "python", "-m", "techsapo_ops", "costs", "--rows", "--days", str(days),
        "--file", str(topology.config_dir() / APP_SPEC), "--data", str(topology.data_dir(apps[0])),
        *told_addresses(topology, _STORES), *told_authorities(topology, _STORES),
    )  # fmt: skip
    observed = books.engine.observe().services
    if topology.has("mysql"):
        up = {State.RUNNING, State.STARTING}
        running = [a for a in apps if a.name in observed and observed[a.name].state in up]
        if not running:
            raise OpsError(
                "the audit database can't be reached: no instance of the app runs", "`techsapo up` starts it"
            )
        asked = books.engine.enter(running[0].name, Command(argv))
        yield _rows(books.runner.run(asked, timeout=_READ_SECONDS), running[0].name)
        return
    for app in apps:
        if app.name in observed and observed[app.name].container:
            beside = books.engine.beside(app.name, Command(argv))
            yield _rows(books.runner.run(beside, timeout=_READ_SECONDS), app.name)
    if apps[0].name in observed and observed[apps[0].name].container:
        for name in books.engine.left("app"):
            beside = books.engine.beside(name, Command(argv), image_of=apps[0].name)
            yield _rows(books.runner.run(beside, timeout=_READ_SECONDS), name)


def _rows(done: Completed, app: str) -> Rows:
    if done.code != 0:
        said = done.output.splitlines() or [f"exit code {done.code}"]
        raise OpsError(
            f"{app} can't read the audit log: {said[0].removeprefix('error: ')}",
            "`techsapo health` says more",
        )
    try:
        return Rows.from_json(json.loads(done.stdout))
    except (ValueError, LookupError, TypeError):
        raise OpsError(
            f"{app} answers in a way that this version does not understand",
            "`techsapo up` brings its image up to date",
        ) from None


def _mysql(books: Books) -> AuditServer | None:
    """The stack's MariaDB with its password, None where the audit log is SQLite."""
    mysql = books.spec.mysql
    if mysql is None or not books.topology.has("mysql"):
        return None
    made = books.topology.layout.mysql_password
    if mysql.password is None and made.is_file():
        mysql = mysql.model_copy(
            update={"password": Secret(read_text(made, what="database password").strip())}
        )
    return audit_server(mysql, authorities(books.spec, books.topology.layout).mysql)

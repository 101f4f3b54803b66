"""A session with MariaDB through its own client, which works wherever the client runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.pipes import Running, conversation
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql.accounts import migrations_user
from techsapo_ops.services.mysql.member import ready_command
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door

if TYPE_CHECKING:  # `techsapo backup --help` knows of MariaDB, and reads no spec
    from pathlib import Path

    from techsapo_ops.spec.models.servers import Mysql
    from techsapo_ops.stack.engine import Access, Scratch
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack
    from techsapo_ops.stack.topology import Topology

_READY_SECONDS = 10.0
_END = "techsapo-end-of-answer"
_BEYOND = re.compile(r"ERROR (1044|1142|1227|1410|1370|1419) |ERROR 1045 \(28000\) at line ")
"""What an account is told that may log in, but not do what a line asks for."""
_CHATTER = "WARNING: option --ssl-verify-server-cert is disabled"
"""What MariaDB's programs say at every login by password without TLS, on the loopback address too."""


def administrator(stack: Stack) -> Door:
    """The way to the stack's MariaDB, as its root, which needs no password where it is the system's too."""
    return Doors(stack.engine, stack.topology, stack.runner).administrator()


@dataclass(frozen=True, slots=True)
class Doors:
    """The ways to the MariaDB of `topology`, by `access`."""

    access: Access
    topology: Topology
    runner: Runner

    def member(self) -> Service:
        """The server that is spoken to: of a cluster's members the first that is in it.

        Raises OpsError where a cluster has none.
        """
        services = self.topology.of_kind("mysql")
        if len(services) == 1:
            return services[0]
        said = []
        for service in services:
            try:
                asking = self.access.enter(service.name, Command(ready_command(self.topology)))
            except OpsError as error:  # its machine is away
                said.append(f"{service.name}: {error.message}")
                continue
            done = self.runner.run(asking, timeout=_READY_SECONDS)
            if done.code == 0:
                return service
            said.append(f"{service.name}: {done.output.strip()}")
        raise Passing(
            msg("no member of the database cluster answers: {said}", said="; ".join(said)),
            msg("`techsapo logs mysql` shows what each member waits for"),
        )

    def administrator(self, of: str = "") -> Door:
        """As its root; of the member of that name, or of any."""
        named = [s for s in self.topology.of_kind("mysql") if s.name == of]
        service = named[0] if named else self.member()
        if self.access.enters_as_root:
            return Door(
                self.runner,
                lambda command: self.access.enter(service.name, command, root=True),
                ("--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root"),
            )
        return self._by_password("root", self.topology.layout.mysql_root_password)

    def migrations(self, mysql: Mysql) -> Door:
        """As the account that may do anything with the audit database, and nothing beside it."""
        return self._by_password(migrations_user(mysql), self.topology.layout.mysql_migrations_password)

    def _by_password(self, user: str, file: Path) -> Door:
        service = self.member()
        password = read_text(file, what=msg("the password of the database's {user}", user=user)).strip()
        return Door(
            self.runner,
            lambda command: self.access.enter(service.name, command),
            _at(self.topology.address(service, Viewpoint.WITHIN), user),
            {"MYSQL_PWD": password},
        )


def scratch_door(scratch: Scratch, runner: Runner, user: str | None = None) -> Door:
    """The way to a throwaway MariaDB, as its root, or as `user`, who has the same password."""
    assert scratch.enter is not None  # noqa: S101 - every engine gives one
    password = scratch.password.reveal() if scratch.password is not None else ""
    return Door(runner, scratch.enter, _at(scratch.address, user or scratch.user), {"MYSQL_PWD": password})


def _at(address: Address, user: str | None) -> tuple[str, ...]:
    return (
        "--no-defaults", "--protocol=tcp", f"--host={address.host}", f"--port={address.port}",
        f"--user={user}",
    )  # fmt: skip


PASSES = ("WSREP has not yet prepared node", "Lock wait timeout", "Deadlock found")
"""Words of MariaDB's by which a member of a cluster refuses what it may take a moment later."""


class Redefined(OpsError):
    """A table was made or altered after the snapshot that is read."""


class Passing(OpsError):
    """Of a cluster it may pass: members come together, or one copies its data for another."""


class Session:
    """One connection; statements are answered in turn."""

    def __init__(self, client: Running) -> None:
        self._client = client
        self._left = b""

    def ask(self, sql: str) -> list[list[str]]:
        """Run statements and return their rows. Raises OpsError with the server's words."""
        self._client.write(f"{sql};\nSELECT '{_END}';\n".encode())
        rows = []
        while (line := self._line()) != _END:
            rows.append(line.split("\t"))
        return rows

    def one(self, sql: str) -> str:
        """The first value of the first row; empty without one."""
        rows = self.ask(sql)
        return rows[0][0] if rows else ""

    def end(self) -> None:
        """Break off what it is asked, from another thread; that one's `ask` raises OpsError."""
        self._client.stop()

    def _line(self) -> str:
        while b"\n" not in self._left:
            data = self._client.read()
            if not data:
                self._client.wait()
                raise failure(self._client)
            self._left += data
        line, _, self._left = self._left.partition(b"\n")
        return line.decode(errors="replace")


@contextmanager
def session(door: Door, *, timeout: float = 3600.0) -> Iterator[Session]:
    """A connection that ends with the block, and is cut when it lasts longer than `timeout` seconds."""
    with conversation(
        door.command(
            "mariadb", "--batch", "--unbuffered", "--skip-column-names", "--default-character-set=utf8mb4"
        ),
        timeout,
    ) as client:
        yield Session(client)


def failure(client: Running) -> OpsError:
    """The error to raise when MariaDB, or a client of it, failed."""
    said = "\n".join(line for line in client.said.splitlines() if not line.startswith(_CHATTER))
    if _BEYOND.search(said):
        return OpsError(
            msg(
                "the account that loads the dump has no rights outside the audit database: {said}",
                said=said,
            ),
            msg(
                "check the contents of the dump: a dump of only the audit database's tables needs no "
                "further rights"
            ),
        )
    if "Access denied" in said or "ERROR 1045" in said:
        return OpsError(
            msg("MariaDB refused the login: {said}", said=said),
            msg("the password in the keys folder differs from the server's; `techsapo up` fixes this"),
        )
    if "Table definition has changed" in said:  # ER_TABLE_DEF_CHANGED, 1412
        return Redefined(
            msg("a table was altered while it was read: {said}", said=said),
            msg("try again when the migration has ended"),
        )
    if "Lock wait timeout" in said:
        return Passing(
            msg("MariaDB is locked by another session: {said}", said=said),
            msg("end that session (`SHOW PROCESSLIST` shows which one) and try again"),
        )
    if PASSES[0] in said:
        return Passing(
            msg(
                "MariaDB has lost the other members of its cluster and accepts no statements: {said}",
                said=said,
            ),
            msg("`techsapo logs mysql` shows what each member waits for"),
        )
    if "Can't connect" in said or "ERROR 2002" in said or "ERROR 2003" in said:
        return OpsError(
            msg("MariaDB can't be reached: {said}", said=said),
            msg("`techsapo health` shows whether the server is running"),
        )
    if "Lost connection" in said or "server has gone away" in said:
        return OpsError(
            msg("the connection to MariaDB was lost: {said}", said=said),
            msg("`techsapo logs mysql` shows why"),
        )
    ended = client.failure()
    return OpsError(
        ended.message.replace(client.said, said).rstrip(": "), msg("`techsapo logs mysql` may show why")
    )


def version(asking: Session) -> str:
    """`MariaDB 11.8.9`: without the suffix by which the server tells that it keeps a log."""
    text = asking.one("SELECT VERSION()")
    match = re.match(r"\d+\.\d+\.\d+", text)
    return f"MariaDB {match[0] if match else text}"

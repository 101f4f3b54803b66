"""mariadb and the programs that come with it, as the server's root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.services.console import Call, Console, logged_in
from techsapo_ops.services.mysql.kind import NO_TLS
from techsapo_ops.services.mysql.session import administrator

if TYPE_CHECKING:
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack

_CLIENT = "mariadb"
_FAMILY = ("mariadb", "mysql")
_NO_CLIENTS = ("mariadbd", "mysqld")


class MysqlConsole(Console):
    """mariadb, mariadb-dump and the like; anything else as in any service."""

    default = (_CLIENT,)

    @override
    def call(self, stack: Stack, service: Service, words: Sequence[str], *, terminal: bool) -> Call:
        program = words[0]
        if not program.startswith(_FAMILY) or program.startswith(_NO_CLIENTS):
            return super().call(stack, service, words, terminal=terminal)
        door = administrator(stack)
        argv = (program, *door.options, NO_TLS, *words[1:])
        return logged_in(stack, service, Command(argv, door.env, terminal=terminal))


CONSOLE = MysqlConsole()

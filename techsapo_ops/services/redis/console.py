"""redis-cli, with the account that may do everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.services.console import Call, Console, logged_in
from techsapo_ops.services.redis.door import door_to

if TYPE_CHECKING:
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack

_CLIENT = "redis-cli"


class RedisConsole(Console):
    """redis-cli; anything else as in any service."""

    default = (_CLIENT,)

    @override
    def call(self, stack: Stack, service: Service, words: Sequence[str], *, terminal: bool) -> Call:
        if words[0] != _CLIENT:
            return super().call(stack, service, words, terminal=terminal)
        door = door_to(stack, service)
        return logged_in(
            stack, service, Command((_CLIENT, *door.options, *words[1:]), door.env, terminal=terminal)
        )


CONSOLE = RedisConsole()

"""A shell in an instance of the app, or a prompt for its SQLite audit log."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.services.console import Call, Console, entered

if TYPE_CHECKING:
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack

_SQLITE = "sqlite"
_AUDIT = "audit.sqlite"


class AppConsole(Console):
    """`sqlite` reads the instance's own audit log; anything else as in any service."""

    @override
    def call(self, stack: Stack, service: Service, words: Sequence[str], *, terminal: bool) -> Call:
        if words[0] != _SQLITE:
            return super().call(stack, service, words, terminal=terminal)
        code = resources.files("techsapo_ops.services.app").joinpath("sqlite_shell.py").read_text("utf-8")
        file = f"{stack.topology.data_dir(service)}/{_AUDIT}"
        argv = (stack.engine.python, "-I", "-c", code, file, *words[1:])
        return entered(stack, service, Command(argv, terminal=terminal))


CONSOLE = AppConsole()

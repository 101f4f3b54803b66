"""Grafana's database: off-site alone, and swapped in by a rename while Grafana is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.messages import msg
from techsapo_ops.services import sqlite
from techsapo_ops.services.monitoring import first_reached
from techsapo_ops.stack.backup import Door, Part, Progress, Source
from techsapo_ops.stack.step import Action, Step

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_FILE = "grafana.db"
"""Its name in Grafana's data folder."""


class GrafanaBackup(sqlite.SqliteBackup):
    """Grafana's own database, with its users and what they made."""

    name = "grafana"
    title = "Grafana's database"
    too_secret = "it holds password hashes"  # noqa: S105 - a reason
    by_name_only = True
    restarts = True
    keeps_replaced = True

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        if not stack.topology.has("grafana"):
            return msg("this stack has no Grafana")
        if not (stack.engine.reaches(_server(stack)) and stack.engine.reaches(_app(stack))):
            return msg("Grafana's container does not exist")
        if not stack.engine.has_data(_server(stack), _FILE, image_of=_app(stack)):
            return msg("Grafana has no database yet")
        return [sqlite.SqliteSource(self.name, _server(stack), database(stack))]

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        facts = database(stack).look()
        # Grafana brings an SQLite of its own: any reads the copy.
        return part.server, sqlite.described(facts) if facts is not None else ""

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        stack.engine.halt(_server(stack))
        database(stack).put(reader, part, progress)
        Step(Action.RESTART, _server(stack), msg("it was restored")).perform(stack.engine)

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        # Grafana migrates and writes into it as soon as it starts, so its rows are not compared: the file was
        # whole when it was put there, and Grafana became ready on it.
        return [] if database(stack).look() is not None else [msg("the database is missing")]

    @override
    def put_back(self, stack: Stack, kind: str) -> None:
        stack.engine.halt(_server(stack))
        database(stack).run("back")
        Step(Action.RESTART, _server(stack), msg("it was restored")).perform(stack.engine)

    @override
    def forget(self, stack: Stack, kind: str) -> None:
        database(stack).run("done")


def database(stack: Stack) -> sqlite.Database:
    """Grafana's database, looked at with the Python of the app: Grafana's image has none."""
    image_of = _app(stack)
    door = Door(stack.runner, lambda command: stack.engine.beside(_server(stack), command, image_of=image_of))
    return sqlite.Database(door, _FILE, stack.engine.python, GrafanaBackup.name)


def _app(stack: Stack) -> str:
    return first_reached(stack, "app").name


def _server(stack: Stack) -> str:
    """The one that is backed up and restored: of several the first whose machine answers."""
    return first_reached(stack, "grafana").name


BACKUP = GrafanaBackup()

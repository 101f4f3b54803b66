"""Goes on from a dump by the server's own binlog, to the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from techsapo_ops.adapters.pipes import Running
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql.session import Doors, administrator, failure, scratch_door, session
from techsapo_ops.stack.backup import Door, Part, Replay

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class _Span:
    """Binlog files to replay, from a position in the first to a moment."""

    database: str
    files: tuple[str, ...]
    position: int
    until: datetime


class Binlog:
    """What was written since a dump; see stack.backup.History."""

    title = "the binlog"

    def begins(self, part: Part) -> str:
        """The file in which the dump's place is; empty where the server kept no binlog then."""
        return str(part.facts["binlog"].get("file", ""))

    def logs(self, stack: Stack) -> Sequence[str] | None:
        """Names of the files that the server still has; None where it can't be asked."""
        if not stack.topology.has("mysql"):
            return ()
        try:
            with session(administrator(stack), timeout=10) as asking:
                if asking.one("SELECT @@log_bin") != "1":
                    return ()
                return [row[0] for row in asking.ask("SHOW BINARY LOGS")]
        except OpsError:  # it is down: then its files are not known, and what may depend on them stays
            return None

    def prepare(self, stack: Stack, part: Part, until: datetime) -> Replay:
        """What replays the events after `part`, in the running stack or in a throwaway server.

        Closes the present file of the binlog, so that a restore adds nothing to what is replayed. Raises
        OpsError for a moment yet to come, and where the server no longer has the files.
        """
        member = str(part.facts["binlog"].get("member", ""))
        source = Doors(stack.engine, stack.topology, stack.runner).administrator(member)
        span = _span(source, part, until)

        def replay(scratch: Scratch | None) -> None:
            target = source if scratch is None else scratch_door(scratch, stack.runner)
            _replay(source, target, span)

        return replay


def _span(door: Door, part: Part, until: datetime) -> _Span:
    if until > datetime.now(UTC):
        raise OpsError(
            msg("{until:%Y-%m-%d %H:%M:%S} is in the future", until=until.astimezone()),
            msg("--to needs a time in the past"),
        )
    binlog = part.facts["binlog"]
    if not binlog:
        raise OpsError(
            msg("this dump has no binlog position"),
            msg("choose a backup made after the binlog was enabled"),
        )
    with session(door) as asking:
        known = [row[0] for row in asking.ask("SHOW BINARY LOGS")]
        if binlog["file"] not in known:
            raise OpsError(
                msg(
                    "the server no longer has the binlog {binlog}, in which this backup ends",
                    binlog=binlog["file"],
                ),
                msg(
                    "the server has the binlogs {known} to {known2}; choose a newer backup, or restore "
                    "without --to",
                    known=known[0],
                    known2=known[-1],
                ),
            )
        asking.ask("FLUSH BINARY LOGS")
    return _Span(
        str(part.facts["database"]),
        tuple(known[known.index(binlog["file"]) :]),
        int(binlog["position"]),
        until,
    )


def _replay(source: Door, target: Door, span: _Span) -> None:
    """Read the events from `source`'s server and run them on `target`'s. Raises OpsError."""
    reading = replace(source, env={**source.env, "TZ": "UTC"})
    until = span.until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    events = reading.command(
        "mariadb-binlog", "--read-from-remote-server", f"--database={span.database}",
        f"--start-position={span.position}", f"--stop-datetime={until}", *span.files,
    )  # fmt: skip
    command = target.command("mariadb", "--batch", "--binary-mode", "--default-character-set=utf8mb4")
    with Running(events, read=True) as reader, Running(command, feed=True) as client:
        while data := reader.read():
            client.write(data)
        if client.wait() != 0:
            raise failure(client)
        if reader.wait() != 0:
            raise failure(reader)

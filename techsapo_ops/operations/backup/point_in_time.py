"""Goes on from a dump by the server's own binlog, to the second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from techsapo_ops.adapters.pipes import Running
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup, Repository
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql.session import session, told
from techsapo_ops.stack.backup import Door


@dataclass(frozen=True, slots=True)
class Replay:
    """Binlog files to replay, from a position in the first to a moment."""

    database: str
    files: tuple[str, ...]
    position: int
    until: datetime


def choose(repository: Repository, until: datetime) -> Backup:
    """The newest backup that had ended at `until` and knows its place in the binlog. Raises OpsError."""
    fit = [
        b
        for b in repository.backups()
        if b.manifest is not None
        and b.manifest.ended <= until
        and (part := b.manifest.part("mysql")) is not None
        and part.facts["binlog"]
    ]
    if not fit:
        raise OpsError(
            f"no backup from before {until.astimezone():%Y-%m-%d %H:%M:%S} knows its place in the binlog",
            "`techsapo backup list` shows what there is",
        )
    return fit[-1]


def prepare(door: Door, part: Part, until: datetime, now: datetime) -> Replay:
    """What has to be replayed after `part`; closes the present binlog file, so that a restore adds nothing.

    Raises OpsError for a moment yet to come, and where the server no longer has the files.
    """
    if until > now:
        raise OpsError(
            f"{until.astimezone():%Y-%m-%d %H:%M:%S} is yet to come", "--to takes a time that has passed"
        )
    binlog = part.facts["binlog"]
    if not binlog:
        raise OpsError(
            "this dump does not know its place in the binlog", "choose a backup from after the binlog was on"
        )
    with session(door) as asking:
        known = [row[0] for row in asking.ask("SHOW BINARY LOGS")]
        if binlog["file"] not in known:
            raise OpsError(
                f"the server no longer has the binlog {binlog['file']}, where this backup ends",
                f"it has {known[0]} to {known[-1]}; choose a newer backup, or restore without --to",
            )
        asking.ask("FLUSH BINARY LOGS")
    return Replay(
        str(part.facts["database"]),
        tuple(known[known.index(binlog["file"]) :]),
        int(binlog["position"]),
        until,
    )


def replay(source: Door, target: Door, work: Replay) -> None:
    """Read the events from `source`'s server and run them on `target`'s. Raises OpsError."""
    reading = replace(source, env={**source.env, "TZ": "UTC"})
    until = work.until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    events = reading.command(
        "mariadb-binlog", "--read-from-remote-server", f"--database={work.database}",
        f"--start-position={work.position}", f"--stop-datetime={until}", *work.files,
    )  # fmt: skip
    command = target.command("mariadb", "--batch", "--binary-mode", "--default-character-set=utf8mb4")
    with Running(events, read=True) as reader, Running(command, feed=True) as client:
        while data := reader.read():
            client.write(data)
        if client.wait() != 0:
            raise told(client)
        if reader.wait() != 0:
            raise told(reader)

"""What an engine remembers of the services it started: state.json in the state directory."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.json_files import DAMAGED, read_json, write_json
from techsapo_ops.messages import msg
from techsapo_ops.stack.observed import ObservedService, State

STATE = "state.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One service as it was started last. `pending` until it has passed the gate."""

    name: str
    kind: str
    host: str
    port: int
    user: str | None
    needs: tuple[str, ...]
    stop_seconds: int
    fingerprint: str = ""
    config: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    pending: bool = False
    since: float = 0.0
    """When it was last started on purpose, in seconds since the epoch."""
    container: str = ""
    """Id of its container, on the compose engine."""
    image: str = ""
    """Id of the image that the container was made from."""
    definition: str = ""
    """Docker Compose's own digest of what it made the container from."""
    machine: str = ""
    """Where it runs, of several machines."""

    @property
    def stopped(self) -> ObservedService:
        """The service as far as its record knows it, without what runs of it."""
        return ObservedService(
            name=self.name,
            kind=self.kind,
            state=State.STOPPED,
            fingerprint="" if self.pending else self.fingerprint,
            config=self.config,
            files=self.files,
            host=self.host,
            port=self.port,
            user=self.user,
            machine=self.machine,
        )


class StateFile:
    """Reads and writes state.json; in the order in which services were started.

    Threads that start services at the same time may share one.
    """

    def __init__(self, state: Path, engine: str = "native", project: str = "") -> None:
        self.path = state / STATE
        self._engine = engine
        self._project = project
        self._changing = threading.Lock()

    def load(self) -> dict[str, Record]:
        """Records by service name; none where there is no file, or one of another engine.

        Raises OpsError for a damaged file.
        """

        def made(value: Any) -> dict[str, Record]:
            entries = value["services"]
            if value["engine"] != self._engine:
                return {}
            return {
                name: Record(name=name, **{**entry, "needs": tuple(entry["needs"])})
                for name, entry in entries.items()
            }

        remedy = msg("remove that file and run `techsapo up`, which restarts the services")
        return read_json(self.path, made, empty={}, remedy=remedy)

    def save(self, records: Mapping[str, Record]) -> None:
        """Write `records` whole."""
        services = {name: asdict(record) for name, record in records.items()}
        for entry in services.values():
            del entry["name"]
        value = {
            "version": _VERSION,
            "engine": self._engine,
            "project": self._project,
            "services": services,
        }
        write_json(self.path, value)

    def put(self, record: Record) -> None:
        """Add or replace one record; a replaced one keeps its place."""
        with self._changing:
            self.save({**self.load(), record.name: record})

    def settle(self, name: str) -> None:
        """Note that `name` passed its gate."""
        with self._changing:
            records = self.load()
            if records[name].pending:
                self.save({**records, name: replace(records[name], pending=False)})

    def drop(self, name: str) -> None:
        """Forget one service."""
        with self._changing:
            records = self.load()
            if records.pop(name, None) is not None:
                self.save(records)

    def clear(self) -> None:
        """Forget every service, but not the engine: the next `up` takes the same one.

        What another engine has recorded stays.
        """
        recorded = recorded_engine(self.path.parent)
        if recorded is not None and recorded.engine == self._engine:
            self.save({})


@dataclass(frozen=True, slots=True)
class RecordedEngine:
    """Which engine a stack was brought up with last, and under which project name.

    `stopped`: it has no service of it any more.
    """

    engine: str
    project: str
    stopped: bool = False


def recorded_engine(state: Path) -> RecordedEngine | None:
    """The engine that the state directory `state` names; None where nothing was brought up.

    A file that can't be understood counts as the native engine's: reading the records tells the error.
    """
    try:
        value = json.loads((state / STATE).read_text(encoding="utf-8"))
        return RecordedEngine(str(value["engine"]), str(value.get("project", "")), not value["services"])
    except FileNotFoundError:
        return None
    except (OSError, *DAMAGED):
        return RecordedEngine("native", "")

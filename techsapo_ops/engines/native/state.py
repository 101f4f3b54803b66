"""What the native engine remembers of the services it started: state.json in the state directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from techsapo_ops.errors import OpsError

ENGINE = "native"
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


class StateFile:
    """Reads and writes state.json; in the order in which services were started."""

    def __init__(self, state: Path) -> None:
        self.path = state / "state.json"

    def load(self) -> dict[str, Record]:
        """Records by service name; none where there is no file. Raises OpsError for a damaged one."""
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
            entries = value["services"]
            return {
                name: Record(name=name, **{**entry, "needs": tuple(entry["needs"])})
                for name, entry in entries.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OpsError(
                f"{self.path} is damaged", "remove it and run `techsapo up`, which starts the services anew"
            ) from None
        except OSError as error:
            raise OpsError(
                f"cannot read {self.path}: {error.strerror}", "run as the user who ran `up`"
            ) from None

    def save(self, records: Mapping[str, Record]) -> None:
        """Write `records` whole."""
        from techsapo_ops.adapters.files import write_atomic

        services = {name: asdict(record) for name, record in records.items()}
        for entry in services.values():
            del entry["name"]
        text = json.dumps({"version": _VERSION, "engine": ENGINE, "services": services}, indent=1)
        write_atomic(self.path, text.encode(), 0o600)

    def put(self, record: Record) -> None:
        """Add or replace one record; a replaced one keeps its place."""
        self.save({**self.load(), record.name: record})

    def settle(self, name: str) -> None:
        """Note that `name` passed its gate."""
        records = self.load()
        if records[name].pending:
            self.save({**records, name: replace(records[name], pending=False)})

    def drop(self, name: str) -> None:
        """Forget one service."""
        records = self.load()
        if records.pop(name, None) is not None:
            self.save(records)

    def clear(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)

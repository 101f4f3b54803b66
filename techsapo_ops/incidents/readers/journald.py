"""The journal of a systemd unit, by journalctl."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from techsapo_ops.adapters.log_lines import Level as Said
from techsapo_ops.adapters.log_lines import line_level
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.readers.lines import Window, lines_of
from techsapo_ops.messages import msg

MOST_ENTRIES = 5_000
_SECONDS = 3.0
_PRIORITIES: Mapping[str, Said] = {
    "0": "error", "1": "error", "2": "error", "3": "error", "4": "warn", "7": "debug"
}  # fmt: skip
"""Of syslog(3). What a program prints has 6, whatever it says."""
_NOT_ALLOWED = ("not seeing messages from", "Permission denied")


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of `unit`, which belongs to the service `service`; `runner` runs journalctl."""

    unit: str
    runner: Runner
    service: str = ""

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """Its newest entries in the window. Raises OpsError where the journal can't be read."""
        command = Command(
            (
                "journalctl", "--no-pager", "--quiet", "--output=json", f"--unit={self.unit}",
                f"--lines={MOST_ENTRIES}", f"--since=@{start.timestamp():.6f}",
                f"--until=@{end.timestamp():.6f}",
                "--output-fields=MESSAGE,PRIORITY,_HOSTNAME",
            )
        )  # fmt: skip
        done = self.runner.run(command, timeout=_SECONDS)
        if done.code != 0:
            raise OpsError(done.output.splitlines()[0] if done.output else msg("journalctl failed"))
        if not done.stdout.strip():
            self.readable()
        entries = list(_entries(done.stdout))
        host = entries[-1].get("_HOSTNAME", "") if entries else ""
        window = Window(start, end, subject.began)
        lines = lines_of(map(_text_of, entries), window, service=self.service, host=str(host))
        return Material(subject, start, end, lines=lines)

    def readable(self) -> None:
        """Raise OpsError where there is no such unit, or this user may not read its journal."""
        shown = self.runner.run(
            Command(("systemctl", "show", "--property=LoadState", self.unit)), timeout=_SECONDS
        )
        if shown.code == 0 and shown.stdout.strip() == b"LoadState=not-found":
            raise OpsError(msg("there is no unit {unit}", unit=self.unit))
        asked = Command(("journalctl", "--no-pager", "--lines=1", f"--unit={self.unit}"))
        said = self.runner.run(asked, timeout=_SECONDS).output
        if any(words in said for words in _NOT_ALLOWED):
            raise OpsError(
                msg("this user may not read the journal of {unit}", unit=self.unit),
                msg("add the user to the group systemd-journal"),
            )
        if "No journal files were found" in said:
            raise OpsError(msg("this host has no journal"))


def _entries(output: bytes) -> Iterator[dict[str, Any]]:
    """The entries: an object a line (`--output=json`, journalctl(1))."""
    for line in output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # cut off
            continue
        if isinstance(entry, dict):
            yield entry


def _text_of(entry: dict[str, Any]) -> tuple[datetime | None, str, Said | None]:
    """Time, text and level. A message that is not UTF-8 comes as a list of its bytes, a long one as null."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(n for n in message if isinstance(n, int) and 0 <= n < 256).decode(errors="replace")
    text = message if isinstance(message, str) else ""
    when = datetime.fromtimestamp(int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6, UTC)
    return when, text.partition("\n")[0], line_level(text) or _PRIORITIES.get(str(entry.get("PRIORITY")))

"""Maintenance: what was said of it, and the files by which nginx and the app know that it goes on.

The note in the state directory is what holds. The folders beside the configuration of nginx and of the app
follow it; `PROBLEM` in them is the switch, which comes last and goes first, each by one rename or unlink.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:  # `techsapo status` asks for the note, and needs nothing of a spec
    from techsapo_ops.stack.container import Bind
    from techsapo_ops.stack.topology import Topology

NOTE = "maintenance.json"
FOLDER = "maintenance"
PAGE, PROBLEM = "page.html", "problem.json"
ALONE = "alone"
"""File beside them where no nginx stands before the app, which then turns users away itself."""
RETRY_AFTER = 120
"""Seconds after which a client is told to try again."""
OPEN_PATHS = (
    r"^/(ping|health|metrics|status|runbooks|alerts|web|oauth2|nginx-[a-z]+|techsapo-maintenance|\.well-known|"
    r"api/v1/(health|status|alerts|metrics))(/|$)"
)
"""What is answered all the same: monitoring, and whoever is called by it."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Users are told to come back later. `until` is when it is to end, as far as that was said."""

    message: str
    since: datetime
    until: datetime | None
    by: str
    silence: str = ""
    """Id of the silence in Alertmanager, where one was made."""

    @classmethod
    def of(cls, value: Any) -> Maintenance:
        """That of a note. Raises ValueError, KeyError or TypeError for what is none."""
        until = value.get("until")
        return cls(
            str(value["message"]),
            datetime.fromisoformat(value["since"]),
            None if until is None else datetime.fromisoformat(until),
            str(value["by"]),
            str(value.get("silence", "")),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is noted."""
        until = None if self.until is None else self.until.isoformat(timespec="seconds")
        since = self.since.isoformat(timespec="seconds")
        return {
            "message": self.message, "since": since, "until": until, "by": self.by, "silence": self.silence
        }  # fmt: skip

    def forgotten(self, now: datetime | None = None) -> bool:
        """Whether the time when it was to end is over."""
        return self.until is not None and (now or datetime.now(UTC)) > self.until

    def __str__(self) -> str:
        period = msg("maintenance since {since:%Y-%m-%d %H:%M} UTC by {by}", since=self.since, by=self.by)
        if self.until is not None:
            period += (
                msg(", was due to end {until:%Y-%m-%d %H:%M} UTC", until=self.until)
                if self.forgotten()
                else msg(", until {until:%Y-%m-%d %H:%M} UTC", until=self.until)
            )
        return msg("{period}: {message}", period=period, message=self.message) if self.message else period


@dataclass(frozen=True, slots=True)
class Notice:
    """What the folder of a reader says."""

    detail: str
    until: datetime | None

    @property
    def forgotten(self) -> bool:
        """Whether the time when it was to end is over."""
        return self.until is not None and datetime.now(UTC) > self.until


def notice_in(folder: Path) -> Notice | None:
    """What goes on by `folder`; None where nothing does."""
    try:
        value = json.loads((folder / PROBLEM).read_text(encoding="utf-8"))
        until = value.get("until")
        return Notice(str(value["detail"]), None if until is None else datetime.fromisoformat(until))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Notice(f"{folder / PROBLEM}: {error}", None)


def note(layout: Layout) -> Path:
    """Where it is noted."""
    return layout.state / NOTE


def seen_by(topology: Topology, kind: str, folder: str = FOLDER) -> tuple[Bind, ...]:
    """The folder of a reader whose configuration can't change while it runs."""
    if topology.places.mounts_folders:
        return ()
    from techsapo_ops.stack.container import Bind
    from techsapo_ops.stack.places import CONTAINER_CONFIG

    here = topology.layout.config / topology.places.rendered / kind / folder
    return (Bind(here, f"{CONTAINER_CONFIG}/{kind}/{folder}"),)


def maintenance_of(layout: Layout) -> Maintenance | None:
    """The one that goes on. A note that can't be read is one: somebody turned it on."""
    try:
        return Maintenance.of(json.loads(note(layout).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Maintenance(f"({note(layout)}: {error})", datetime.fromtimestamp(0, UTC), None, "?")

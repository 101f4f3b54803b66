"""A note of the drill that has something taken away from hosts, for whoever finds that drill killed.

It lies in the state directory, which travels: another host's next command knows of it, too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.report import ClusterDrill
from techsapo_ops.stack.layout import Layout

PUT_BACK = "techsapo drill put-back"
NOTE = "drill-under-way.json"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What a drill has taken away: of the machine `host` all, or `service`; `since` is ISO 8601."""

    drill: ClusterDrill
    host: str
    service: str
    since: str

    def __str__(self) -> str:
        return msg(
            "drill {drill} of {what}, begun {since}, was cut short: `{command}` puts back what it took away",
            drill=self.drill, what=self.service or self.host, since=self.since, command=PUT_BACK,
        )  # fmt: skip


def note_under_way(layout: Layout, what: UnderWay) -> None:
    """Note it, before anything is taken away. Raises OpsError where that can't be written."""
    write_atomic(_path(layout), json.dumps(asdict(what)).encode(), 0o600)


def under_way(layout: Layout) -> UnderWay | None:
    """What was noted last and not put back; None for nothing. Raises OpsError for a damaged note."""
    try:
        value = json.loads(_path(layout).read_text(encoding="utf-8"))
        found = UnderWay(**{name: str(value[name]) for name in ("drill", "host", "service", "since")})  # type: ignore[arg-type] # checked below
        if found.drill not in get_args(ClusterDrill):
            raise ValueError(found.drill)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (ValueError, TypeError, KeyError):
        raise OpsError(
            msg("{path} is damaged: a drill was cut short", path=_path(layout)),
            msg("`techsapo hosts check` and `techsapo health` say what is missing; then remove the file"),
        ) from None
    return found


def forget(layout: Layout) -> None:
    """All that was taken away is back."""
    _path(layout).unlink(missing_ok=True)


def _path(layout: Layout) -> Path:
    return layout.state / NOTE

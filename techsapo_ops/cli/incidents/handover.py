"""What a shift hands to the next one: incidents since a time, who ended them, and who has the open ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from techsapo_ops.cli.app.orchestrator import Orchestrator
from techsapo_ops.cli.incidents.client import incident, incidents
from techsapo_ops.cli.output import harmless_values
from techsapo_ops.messages import msg

_MOST = 500
"""Incidents of each state that the app lists at once."""
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Handed:
    """One incident; times as the app gives them. `by` ended it with `cause`; both are empty where it ended
    by itself, or is open.
    """

    number: int
    title: str
    began: str
    ended: str | None
    acknowledged_by: tuple[str, ...]
    cause: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Handover:
    """`open` are all that are open, `ended` those that ended since, `opened` how many began since."""

    opened: int
    open: tuple[Handed, ...]
    ended: tuple[Handed, ...]

    def to_json(self) -> dict[str, Any]:
        """The same with stable keys."""
        return asdict(self)

    @property
    def lines(self) -> Iterator[str]:
        """The same for people: how many, then a line for each, the open ones first."""
        yield msg(
            "{opened} opened, {ended} ended, {open} open now",
            opened=self.opened, ended=len(self.ended), open=len(self.open),
        )  # fmt: skip
        every = (*self.open, *self.ended)
        yield from map(_line, every[:_SHOWN])
        if len(every) > _SHOWN:
            yield msg("{rest} more", rest=len(every) - _SHOWN)


def handover_of(asked: Orchestrator, since: datetime) -> Handover:
    """The incidents since then. Raises OpsError with what the app said instead."""
    still = [_handed(each) for each in incidents(asked, "open", _MOST)]
    over = [_handed(each) for each in incidents(asked, "ended", _MOST)]
    ended = [_with_author(asked, each) for each in over if _at(each.ended or each.began) >= since]
    opened = sum(_at(each.began) >= since for each in (*still, *over))
    return Handover(opened, tuple(still), tuple(ended))


def _handed(given: dict[str, Any]) -> Handed:
    said = harmless_values(given)
    who = tuple(said["acknowledged_by"])
    return Handed(said["number"], said["title"], said["began"], said["ended"], who, said["cause"] or "")


def _with_author(asked: Orchestrator, handed: Handed) -> Handed:
    """With who ended it, which the time line knows."""
    if not handed.cause:
        return handed
    timeline = harmless_values(incident(asked, handed.number)["timeline"])
    by = next((entry["by"] for entry in reversed(timeline) if entry["kind"] == "resolved"), "")
    return Handed(**{**asdict(handed), "by": by})


def _at(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _line(handed: Handed) -> str:
    about = f"#{handed.number} {handed.title}"
    if handed.ended is None:
        who = ", ".join(handed.acknowledged_by) or msg("not acknowledged")
        since = f"{_at(handed.began).astimezone():%Y-%m-%d %H:%M}"
        return msg("{about}, open since {since}: {who}", about=about, since=since, who=who)
    ended = f"{_at(handed.ended).astimezone():%Y-%m-%d %H:%M}"
    if not handed.cause:
        return msg("{about}, ended {ended}: nobody named a cause", about=about, ended=ended)
    who = handed.by or msg("a caller without a key")
    return msg(
        "{about}, ended {ended}: {cause} ({who})", about=about, ended=ended, cause=handed.cause, who=who
    )

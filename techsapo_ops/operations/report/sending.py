"""The report goes out once a week to each receiver, whatever ends the program in between.

`sent.json` beside the runs of the job notes each receiver before its report leaves, and again after. What
was left open, by kill -9 or a receiver that never answered, may have arrived: it is told once as a failure
and not sent again, unless somebody asks for that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.report.delivery import NotDelivered, Target, deliver
from techsapo_ops.operations.report.report import Report
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout

AGAIN = msg("`techsapo report --send --again` sends it once more")
_EXAMPLE = "{report: [{kind: slack, url_file: secrets/slack}]}"
NOBODY = msg("the report reaches no one: write e.g. `notifications: {example}`", example=_EXAMPLE)
_WAIT = 120.0
_KEPT = 8
"""Weeks that are remembered."""

Outcome = Literal["sent", "before", "open", "unsure", "failed"]
"""`before`: this week it was sent already; `open`: a run was cut off there; `unsure`: it may have arrived."""
_BAD = {"open", "unsure", "failed"}
Deliver = Callable[[Target, Report], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the report at one receiver; `why` in words where it is not just sent."""

    target: Target
    outcome: Outcome
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether nobody has to look at it."""
        return self.outcome not in _BAD

    def __str__(self) -> str:
        return f"{self.target}: {self.why or 'sent'}"


def targets(spec: Spec) -> tuple[Target, ...]:
    """Whom the report reaches; of two that are the same one."""
    notifications = spec.notifications
    found = (Target(path, receiver, notifications.smtp) for path, receiver in notifications.reported_to)
    return tuple({target.key: target for target in reversed(list(found))}.values())[::-1]


def send_report(
    layout: Layout,
    report: Report,
    to: tuple[Target, ...],
    *,
    again: bool = False,
    hand_over: Deliver = deliver,
) -> tuple[Sent, ...]:
    """Send `report` to each of `to` that did not get this week's, or to all `again`.

    Raises OpsError where the note of what was sent can't be read or written: then nothing is sent.
    """
    folder = layout.jobs / "report"
    with exclusive(folder / "sent.lock", wait=_WAIT, what=msg("the report"), waits=False):
        return tuple(_each(_Notes(folder / "sent.json"), report, to, again, hand_over))


def _each(
    notes: _Notes, report: Report, to: tuple[Target, ...], again: bool, hand_over: Deliver
) -> Iterator[Sent]:
    for target in to:
        state, at = notes.of(report.week, target)
        if state == "sending" and not again:
            notes.write(report, target, "unsure", at)
            yield Sent(
                target,
                "open",
                msg("sending it was cut off at {at}; it may have arrived: {again}", at=at, again=AGAIN),
            )
        elif state is not None and not again:
            words = msg("was sent") if state == "sent" else msg("may have arrived")
            yield Sent(
                target,
                "before",
                msg(
                    "the report of {week} {words} at {at}: {again}",
                    week=report.week,
                    words=words,
                    at=at,
                    again=AGAIN,
                ),
            )
        else:
            yield _one(notes, report, target, hand_over)


def _one(notes: _Notes, report: Report, target: Target, hand_over: Deliver) -> Sent:
    notes.write(report, target, "sending")
    try:
        hand_over(target, report)
    except NotDelivered as error:
        hint = msg(" ({hint})", hint=error.hint) if error.hint else ""
        if error.perhaps:
            notes.write(report, target, "unsure")
            return Sent(
                target,
                "unsure",
                msg(
                    "{message}; it may have arrived all the same: {again}", message=error.message, again=AGAIN
                ),
            )
        notes.write(report, target, None)
        return Sent(target, "failed", error.message + hint)
    notes.write(report, target, "sent")
    return Sent(target, "sent")


class _Notes:
    """By week and receiver: `sending`, `sent` or `unsure`, and when."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._weeks = self._read()

    def of(self, week: str, target: Target) -> tuple[str | None, str]:
        """What is noted of a receiver, and when; None where nothing is."""
        noted = self._weeks.get(week, {}).get(target.key)
        return (None, "") if noted is None else (noted["state"], noted["at"])

    def write(self, report: Report, target: Target, state: str | None, at: str = "") -> None:
        """Note it, on disk before this returns; None forgets it. Raises OpsError."""
        week = self._weeks.setdefault(report.week, {})
        if state is None:
            week.pop(target.key, None)
        else:
            when = at or datetime.now(report.made.tzinfo).isoformat(timespec="seconds")
            week[target.key] = {"state": state, "at": when}
        for old in sorted(self._weeks)[:-_KEPT]:
            del self._weeks[old]
        write_atomic(self._path, (json.dumps(self._weeks, indent=1) + "\n").encode(), 0o644)

    def _read(self) -> dict[str, dict[str, dict[str, str]]]:
        try:
            return {
                week: {key: {name: noted[name] for name in ("state", "at")} for key, noted in those.items()}
                for week, those in json.loads(self._path.read_bytes()).items()
            }
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise OpsError(
                msg("cannot read {path}: {strerror}", path=self._path, strerror=error.strerror),
                msg("run as its owner"),
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OpsError(
                msg("{path} is damaged, so nobody knows who got the report", path=self._path),
                msg("remove it; this week's report may then come twice"),
            ) from None

"""Silences over critical alerts, for the report: nobody is told of these until each ends."""

from __future__ import annotations

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.alertmanager.beginnings import moment_text
from techsapo_ops.services.alertmanager.silencing import Hushed, over_critical
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.stack import Stack

MOST = 3
"""Alerts that are named of a silence; the others are counted."""


def silence_parts(stack: Stack, timeout: float) -> tuple[HealthPart, ...]:
    """One part where there are any: no fault, somebody means it. An Alertmanager that does not answer has a
    part of its own.
    """
    alertmanager = alertmanager_of(stack, timeout)
    if alertmanager is None:
        return ()
    try:
        found = over_critical(alertmanager.silences(), stack.spec)
    except OpsError:
        return ()
    if not found:
        return ()
    detail = joined("; ", map(_words, found))
    hint = msg("`techsapo alerts silence --list`, and `--expire ID` ends one")
    return (HealthPart("silences", "silences", PartStatus.HEALTHY, detail, hint=hint),)


def _words(hushed: Hushed) -> str:
    shown = ", ".join(hushed.alerts[:MOST])
    if (more := len(hushed.alerts) - MOST) > 0:
        shown = msg("{shown} and {more} more", shown=shown, more=more)
    return msg(
        "nobody is told of {shown} until {end} ({by}: {comment})",
        shown=shown,
        end=moment_text(hushed.silence.ends),
        by=hushed.silence.created_by,
        comment=hushed.silence.comment,
    )

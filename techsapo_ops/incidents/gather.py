"""Reads all sources of an investigation at once, and says of those that did not answer why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Material, Subject, Unread
from techsapo_ops.messages import msg

SECONDS = 5.0
"""For all sources together."""
Reader = Callable[[Subject, datetime, datetime], Material]
"""Reads one source about a subject from a time to another. Raises OpsError with the reason."""


def gather(
    subject: Subject, start: datetime, end: datetime, readers: Mapping[str, Reader], seconds: float = SECONDS
) -> Material:
    """What `readers`, by the name of their source, read within `seconds`; what one raises is in `unread`."""
    asked = {name: partial(reader, subject, start, end) for name, reader in readers.items()}
    material = Material(subject, start, end)
    for name, answer in at_once(asked, seconds).items():
        if isinstance(answer, Exception):
            material = material.joined(Material(subject, start, end, unread=(Unread(name, reason(answer)),)))
        else:
            material = material.joined(answer).joined(Material(subject, start, end, read=(name,)))
    return material


def worded(material: Material, say: Callable[[str], str]) -> Material:
    """`material` with its sources and reasons as `say` words them, before they are masked as plain text."""
    unread = (Unread(say(each.source), say(each.reason)) for each in material.unread)
    return replace(material, read=tuple(map(say, material.read)), unread=tuple(unread))


def reason(error: Exception) -> str:
    """Why a source could not be read, in one line."""
    if isinstance(error, Unreachable):
        return error.reason or error.message
    if isinstance(error, OpsError):
        return error.message.partition("\n")[0]
    if isinstance(error, TimeoutError):
        return str(error)
    return msg("{kind}: {told}", kind=type(error).__name__, told=error)

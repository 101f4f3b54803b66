"""The records of a chain: how a line is written and read, and where lines do not follow each other."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from techsapo_ops.messages import msg

NOTHING = "0" * 64
"""What the first record names as the hash before it."""
_PURPOSE = b"techsapo administration 1\0"
_NAMING = b"techsapo administration key id 1\0"
_WHOLE = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\}', re.DOTALL)
_STRING = rb'"(?:[ !#-\[\]-~]|\\[ -~])*+'
_JSON = re.compile(
    rb"(?:%b\"|-?\d[\d.eE+-]*+|true|false|null|[{}\[\]:,])*+(%b\\?|-|tr?u?|fa?l?s?|nu?l?)?"
    % (_STRING, _STRING)
)


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain, or any one of it: its number, from 1, and the hash of its line."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Link:
    """One line: what it says, and where it stands in the file, from line 1."""

    line: int
    head: Head
    time: datetime
    key: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a chain's file holds. `torn` bytes at its end are of a write that a power cut or a kill cut short.

    `records` are those that hold by themselves; `breaks` is empty where all of the file does. `end` is what
    the next record follows: the last whole line, though it may be none of ours.
    """

    records: tuple[Link, ...] = ()
    breaks: tuple[Break, ...] = ()
    torn: bytes = b""
    end: Head | None = None

    @property
    def head(self) -> Head | None:
        """The last record."""
        return self.records[-1].head if self.records else None


def key_id(key: bytes) -> str:
    """What a key is called in the records that it made."""
    return hashlib.sha256(_NAMING + key).hexdigest()[:16]


def line_of(key: bytes, before: Head | None, content: Mapping[str, Any]) -> tuple[bytes, Head]:
    """The line that follows `before` and says `content`, with its end, and that line's head."""
    whole = {
        "sequence": _next(before),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "previous": _previous(before),
        "key": key_id(key),
        **content,
    }
    # In ASCII: what others named, such as a comment, can hold no line break and nothing for a terminal.
    body = json.dumps(whole, separators=(",", ":")).encode()[:-1]
    line = body + b',"mac":"' + _mac(key, body).encode() + b'"}'
    return line + b"\n", Head(int(whole["sequence"]), hashlib.sha256(line).hexdigest())


def _mac(key: bytes, body: bytes) -> str:
    return hmac.new(key, _PURPOSE + body, hashlib.sha256).hexdigest()


def reading_of(data: bytes, key: bytes | None) -> Reading:
    """The records of `data`, a whole file, and what is wrong with them; with no key every MAC is."""
    records: list[Link] = []
    breaks: list[Break] = []
    before: Head | None = None
    lines = data.split(b"\n")
    unfinished = lines.pop()  # empty where the last line has its end
    for number, line in enumerate((*lines, *((unfinished,) if unfinished else ())), 1):
        record = _record(line, number)
        if record is not None:
            breaks += _misfits(record, line, before, key)
            before = record.head
            records.append(record)
        elif number > len(lines) and _begins_a_record(line, before):
            return Reading(tuple(records), tuple(breaks), line, before)
        else:
            breaks.append(Break(number, msg("it is no record")))
            before = Head(_next(before), hash_of(line))
    return Reading(tuple(records), tuple(breaks), end=before)


def _begins_a_record(torn: bytes, before: Head | None) -> bool:
    """Whether `torn` is what a write of the record after `before` leaves that was cut short.

    It is its beginning, in place of which a power cut may leave zeros; whatever else is there was put there.
    """
    begun = torn.rstrip(b"\0")
    known = f'{{"sequence":{_next(before)},"time":"'.encode()
    previous = f'","previous":"{_previous(before)}","key":"'.encode()
    # Time and key are as long in every record: what is missing is added, and then the whole has to fit.
    form = known + b"2000-01-01T00:00:00.000+00:00" + previous + b"0" * 16 + b'",'
    if _begin(known, previous).fullmatch(begun[: len(form)] + form[len(begun) :]) is None:
        return False
    return _begins_an_object(begun[len(form) :]) or _WHOLE.fullmatch(begun) is not None


def _begin(known: bytes, previous: bytes) -> re.Pattern[bytes]:
    """How a record begins, with what is `known` before its time, and before its key."""
    time = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"
    return re.compile(re.escape(known) + time + re.escape(previous) + rb'[0-9a-f]{16}",')


def _begins_an_object(inner: bytes) -> bool:
    """Whether `inner`, the inside of a JSON object from its beginning, is not past the object's end."""
    if _JSON.fullmatch(inner) is None:
        return False
    bare = re.sub(_STRING + rb'"?', b"", inner)
    return bare.count(b"}") <= bare.count(b"{")


def _record(line: bytes, number: int) -> Link | None:
    """What a line says; None where it is no record."""
    if _WHOLE.fullmatch(line) is None:
        return None
    try:
        found = json.loads(line)
        when = datetime.fromisoformat(found.pop("time"))
        sequence, key = found.pop("sequence"), found.pop("key")
        found.pop("mac")
        if type(sequence) is not int or not isinstance(key, str) or when.tzinfo is None:
            raise ValueError(number)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Link(number, Head(sequence, hash_of(line)), when, key, found)


def _misfits(record: Link, line: bytes, before: Head | None, key: bytes | None) -> Iterator[Break]:
    """Why a record can't be where it is."""
    whole = _WHOLE.fullmatch(line)
    assert whole is not None  # noqa: S101 - a record has a MAC
    if key is None or record.key != key_id(key):
        yield Break(record.line, msg("its MAC is by another key, {key}, which is not here", key=record.key))
    elif not hmac.compare_digest(_mac(key, whole[1]).encode(), whole[2]):
        yield Break(record.line, msg("its MAC is wrong: it was changed, or written by somebody else"))
    expected = _next(before)
    if record.head.sequence != expected:
        yield Break(
            record.line,
            msg(
                "it is record {sequence}, where {expected} was to come",
                sequence=record.head.sequence,
                expected=expected,
            ),
        )
    elif record.content.get("previous") != _previous(before):
        yield Break(record.line, msg("it does not follow the record before it"))


def _next(before: Head | None) -> int:
    return before.sequence + 1 if before is not None else 1


def _previous(before: Head | None) -> str:
    return before.hash if before is not None else NOTHING


def hash_of(line: bytes) -> str:
    """What the record after `line` names it by; of a line without its end."""
    return hashlib.sha256(line).hexdigest()

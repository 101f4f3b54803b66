"""A file of records that is only ever added to: each names the hash of the one before it and carries a MAC.

A record is a line of JSON. Its hash is the SHA-256 of the line, its MAC the HMAC-SHA-256 (RFC 2104) of all
before the MAC, behind a word that keeps it apart from any other use of the key. So nobody without the key
changes, removes or inserts a line unseen. Whoever has it can cut the end off, or write the file anew: a hash
that was noted elsewhere gives that away.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.folders import open_file, opened, replace_in, write_hint
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

CLOSED = "torn line closed"
"""Action of the record that says what stood in its place: a write that a power cut or a kill cut short."""
KEY_MADE = "key made"
"""Action of the record that says that the key before is not here any more."""
NOTHING = "0" * 64
"""What the first record names as the hash before it."""
_PURPOSE = b"techsapo administration 1\0"
_NAMING = b"techsapo administration key id 1\0"
_KEY_BYTES = 32
_WHOLE = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\}', re.DOTALL)
_STRING = rb'"(?:[ !#-\[\]-~]|\\[ -~])*+'
_JSON = re.compile(
    rb"(?:%b\"|-?\d[\d.eE+-]*+|true|false|null|[{}\[\]:,])*+(%b\\?|-|tr?u?|fa?l?s?|nu?l?)?"
    % (_STRING, _STRING)
)
_LOCK_SECONDS = 5.0


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


class Chain:
    """The chain in the file `path`, with its key in the file `key`; both are their owner's alone (0600).

    `owner` (uid, gid) is given both where they are made by another user, which can only be root.
    """

    def __init__(self, path: Path, key: Path, owner: tuple[int, int] | None = None) -> None:
        self.path = path
        self._key = key
        self._owner = owner

    def read(self) -> Reading:
        """All of it, checked. Raises OpsError where it can't be read."""
        data = self._content()
        return _read(data, self._kept_key()) if data else Reading()

    def _content(self) -> bytes:
        try:
            descriptor = open_file(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._cannot(msg("read"), error) from None
        try:
            with _locked(descriptor, LOCK_SH, self.path):
                return _all_of(descriptor)
        except OSError as error:
            raise self._cannot(msg("read"), error) from None
        finally:
            os.close(descriptor)

    def head(self) -> Head | None:
        """The last record, which needs no key to be named. Raises OpsError where it can't be read."""
        return _read(self._content(), None).head

    def append(self, content: Mapping[str, Any]) -> Head:
        """Add a record; it is on disk when this returns. Raises OpsError; then the records are as they were.

        A record of its own takes the place of what a write before left unfinished.
        """
        try:
            with opened(self.path.parent, make=0o700) as folder:
                if self._owner is not None:
                    os.fchown(folder, *self._owner)
                new = not self.path.exists()
                descriptor = open_file(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    with _locked(descriptor, LOCK_EX, self.path):
                        head = self._add(descriptor, content)
                    if new:
                        os.fsync(folder)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise self._cannot(msg("write"), error) from None
        return head

    def _add(self, descriptor: int, content: Mapping[str, Any]) -> Head:
        if self._owner is not None:
            os.fchown(descriptor, *self._owner)
        data = _all_of(descriptor)
        key = self._kept_key()
        made = key is None
        if key is None:
            key = self._make_key()
        found = _read(data, None if made else key)
        body = b""
        # A chain that is broken goes on behind its last line, whatever that is: its break stays to be seen.
        head = found.end
        size = len(data) - len(found.torn)
        if found.torn:
            # Were it left there, a kill in the midst of this would leave two, which no single write does.
            os.ftruncate(descriptor, size)
            text = found.torn.rstrip(b"\0").decode("ascii")
            told = {"action": CLOSED, "bytes": len(found.torn), "sha256": _hash(found.torn), "text": text}
            line, head = _line(key, head, told)
            body += line
        elif data and not data.endswith(b"\n"):
            body = b"\n"  # all of the last record is there but its end
        if made and data:
            line, head = _line(key, head, {"action": KEY_MADE})
            body += line
        line, head = _line(key, head, content)
        assert head is not None  # noqa: S101 - a line was just made
        _write(descriptor, size, body + line)
        return head

    def _kept_key(self) -> bytes | None:
        try:
            descriptor = open_file(self._key, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OpsError(
                msg("cannot read {path}: {strerror}", path=self._key, strerror=error.strerror),
                write_hint(error),
            ) from None
        try:
            value = bytes.fromhex(os.read(descriptor, 200).decode("ascii").strip())
        except ValueError:
            value = b""
        finally:
            os.close(descriptor)
        if len(value) != _KEY_BYTES:
            raise OpsError(
                msg("{key} is damaged: it holds no key", key=self._key),
                msg("get it back, or move it away: a new one is made"),
            )
        return value

    def _make_key(self) -> bytes:
        """A new key; under the lock, so it is made once."""
        value = secrets.token_bytes(_KEY_BYTES)
        with opened(self._key.parent, make=0o700) as folder:
            replace_in(folder, self._key.name, value.hex().encode() + b"\n", 0o600, self._owner)
        return value

    def _cannot(self, what: str, error: OSError) -> OpsError:
        return OpsError(
            msg("cannot {what} {path}: {strerror}", what=what, path=self.path, strerror=error.strerror),
            write_hint(error),
        )


def key_id(key: bytes) -> str:
    """What a key is called in the records that it made."""
    return hashlib.sha256(_NAMING + key).hexdigest()[:16]


def _line(key: bytes, before: Head | None, content: Mapping[str, Any]) -> tuple[bytes, Head]:
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


def _read(data: bytes, key: bytes | None) -> Reading:
    """The records of `data`, and what is wrong with them."""
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
            before = Head(_next(before), _hash(line))
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
    return Link(number, Head(sequence, _hash(line)), when, key, found)


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


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _all_of(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()


def _write(descriptor: int, size: int, data: bytes) -> None:
    """Add `data` to a file of `size` bytes, all of it and onto the disk, or nothing. Raises OSError."""
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


@contextmanager
def _locked(descriptor: int, how: int, path: Path) -> Iterator[None]:
    """Hold the lock of the file for the block; it goes with the descriptor."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            flock(descriptor, how | LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise OpsError(
                    msg(
                        "{path} has been locked by another techsapo for {lock_seconds:g} s",
                        path=path,
                        lock_seconds=_LOCK_SECONDS,
                    ),
                    msg("try again"),
                ) from None
            time.sleep(0.02)
    yield

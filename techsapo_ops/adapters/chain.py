"""A file of records that is only ever added to: each names the hash of the one before it and carries a MAC.

A record is a line of JSON. Its hash is the SHA-256 of the line, its MAC the HMAC-SHA-256 (RFC 2104) of all
before the MAC, behind a word that keeps it apart from any other use of the key. So nobody without the key
changes, removes or inserts a line unseen. Whoever has it can cut the end off, or write the file anew: a hash
that was noted elsewhere gives that away.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.chain_records import Head, Reading, hash_of, line_of, reading_of
from techsapo_ops.adapters.folders import open_file, opened, replace_in, write_hint
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

CLOSED = "torn line closed"
"""Action of the record that says what stood in its place: a write that a power cut or a kill cut short."""
KEY_MADE = "key made"
"""Action of the record that says that the key before is not here any more."""
_KEY_BYTES = 32
_LOCK_SECONDS = 5.0


class Chain:
    """The chain in the file `path`, with its key in the file `key`; both are their owner's alone (0600).

    `owner` (uid, gid) is given both where they are made by another user, which can only be root.
    """

    RECORD = "record.jsonl"
    """Name of its file in the folder of administration."""

    def __init__(self, path: Path, key: Path, owner: tuple[int, int] | None = None) -> None:
        self.path = path
        self._key = key
        self._owner = owner

    @classmethod
    def of(cls, folder: Path, owner: tuple[int, int] | None = None) -> Chain:
        """The record of administration in the folder that a stack keeps it in."""
        return cls(folder / cls.RECORD, folder / "key", owner)

    def read(self) -> Reading:
        """All of it, checked. Raises OpsError where it can't be read."""
        data = self._content()
        return reading_of(data, self._kept_key()) if data else Reading()

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
        return reading_of(self._content(), None).head

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
        found = reading_of(data, None if made else key)
        body = b""
        # A chain that is broken goes on behind its last line, whatever that is: its break stays to be seen.
        head = found.end
        size = len(data) - len(found.torn)
        if found.torn:
            # Were it left there, a kill in the midst of this would leave two, which no single write does.
            os.ftruncate(descriptor, size)
            text = found.torn.rstrip(b"\0").decode("ascii")
            told = {"action": CLOSED, "bytes": len(found.torn), "sha256": hash_of(found.torn), "text": text}
            line, head = line_of(key, head, told)
            body += line
        elif data and not data.endswith(b"\n"):
            body = b"\n"  # all of the last record is there but its end
        if made and data:
            line, head = line_of(key, head, {"action": KEY_MADE})
            body += line
        line, head = line_of(key, head, content)
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

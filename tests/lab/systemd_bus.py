"""A D-Bus on which somebody answers as systemd's manager does: what units there are, and nothing else.

Strict: whatever is asked that systemd would not answer for these units is answered by its error.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_CALL, _REPLY, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _SIGNATURE = 1, 2, 3, 4, 5, 8
MANAGER = "org.freedesktop.systemd1.Manager"
PROPERTIES = {
    (MANAGER, "Version"): "257.13",
    (MANAGER, "SystemState"): "degraded",
    ("org.freedesktop.systemd1.Service", "Type"): "oneshot",
}


def _pad(data: bytes, size: int) -> bytes:
    return data + b"\0" * (-len(data) % size)


def _string(data: bytes, text: str) -> bytes:
    return _pad(data, 4) + struct.pack("<I", len(text.encode())) + text.encode() + b"\0"


def _variant(signature: str, text: str) -> bytes:
    head = bytes([len(signature)]) + signature.encode() + b"\0"
    return _string(head, text)


def _units(states: Mapping[str, str]) -> bytes:
    """The body of ListUnits: a(ssssssouso)."""
    body = b""
    for name, state in states.items():
        body = _pad(body, 8)
        for text in (name, name, "loaded", state, "dead", ""):
            body = _string(body, text)
        body = _string(body, "/org/freedesktop/systemd1/unit/x")
        body = _pad(body, 4) + struct.pack("<I", 0)
        for text in ("", "/"):
            body = _string(body, text)
    # The elements begin at a multiple of 8, after the length.
    return struct.pack("<I", len(body)) + b"\0" * 4 + body


def _message(kind: int, serial: int, body: bytes, signature: str, error: str = "") -> bytes:
    fields = [(_REPLY_SERIAL, "u", struct.pack("<I", serial))]
    if error:
        fields.append((_ERROR_NAME, "s", _string(b"", error)))
    if signature:
        fields.append((_SIGNATURE, "g", bytes([len(signature)]) + signature.encode() + b"\0"))
    array = b""
    for code, of, value in fields:
        array = _pad(array, 8) + bytes([code, 1]) + of.encode() + b"\0"
        array = (array if of == "g" else _pad(array, 4)) + value
    head = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), serial + 1000, len(array)) + array
    return _pad(head, 8) + body


class _Client:
    """One connection: the login, then calls until it is closed."""

    def __init__(self, connection: socket.socket, states: Mapping[str, str]) -> None:
        self._connection = connection
        self._states = states
        self._stream = connection.makefile("rb")

    def serve(self) -> None:
        assert self._stream.read(1) == b"\0"
        while (line := self._stream.readline().strip()) != b"BEGIN":
            if not line:
                return
            if line == b"AUTH":
                said = b"REJECTED EXTERNAL"
            elif line == b"AUTH EXTERNAL":
                said = b"DATA"
            elif line.startswith((b"DATA", b"AUTH EXTERNAL ")):
                said = b"OK 0123456789abcdef0123456789abcdef"
            else:
                said = b"ERROR"
            self._connection.sendall(said + b"\r\n")
        while head := self._stream.read(16):
            kind, length, serial, fields = struct.unpack("<xBxxIII", head)
            rest = self._stream.read(fields + -fields % 8 + length)
            if kind == _CALL:
                self._connection.sendall(
                    self._answer(serial, _fields(rest[:fields]), rest[len(rest) - length :])
                )

    def _answer(self, serial: int, fields: Mapping[int, str], body: bytes) -> bytes:
        interface, member = fields.get(_INTERFACE, ""), fields[_MEMBER]
        if (interface, member) == ("org.freedesktop.DBus", "Hello"):
            return _message(_REPLY, serial, _string(b"", ":1.1"), "s")
        if (interface, member) == ("org.freedesktop.DBus", "AddMatch"):
            return _message(_REPLY, serial, b"", "")
        if (interface, member) == (MANAGER, "ListUnits"):
            return _message(_REPLY, serial, _units(self._states), "a(ssssssouso)")
        if (interface, member) == ("org.freedesktop.DBus.Properties", "Get"):
            asked, at = _read_string(body, 0)
            name, _ = _read_string(body, at)
            if (asked, name) in PROPERTIES:
                return _message(_REPLY, serial, _variant("s", PROPERTIES[asked, name]), "v")
        error = "org.freedesktop.DBus.Error.UnknownMethod"
        return _message(_ERROR, serial, _string(b"", f"{interface}.{member}"), "s", error)


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    at += -at % 4
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length].decode(), at + 4 + length + 1


def _fields(array: bytes) -> dict[int, str]:
    """The header's fields that are strings, by their code."""
    found, at = {}, 0
    while at < len(array):
        at += -at % 8
        code, size = array[at], array[at + 1]
        signature = array[at + 2 : at + 2 + size].decode()
        at += 2 + size + 1
        if signature in {"s", "o"}:
            found[code], at = _read_string(array, at)
        elif signature == "g":
            at += 1 + array[at] + 1
        else:
            assert signature == "u"
            at += -at % 4 + 4
    return found


@contextmanager
def systemd_bus(folder: Path, states: Mapping[str, str]) -> Iterator[str]:
    """The address of a bus on which systemd has units in these `states`."""
    path = folder / "bus"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threads: list[threading.Thread] = []
        connections: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # the block has ended
                    return
                connections.append(connection)
                threads.append(threading.Thread(target=_Client(connection, states).serve, daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"unix:path={path}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            for connection in connections:
                connection.close()
